//! The values of one cache in this process.
//!
//! quick_cache decides which values stay. It clones entries and evicts them under the lock of a
//! shard; therefore an [`Entry`] is cloned without the user's code, and evicted entries are collected
//! and dropped after all locks are released.

use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Lifecycle, OptionsBuilder, UnitWeighter};

use super::cache_key::{CacheKey, CacheKeyRef};
use super::codec::CacheValue;
use super::entry::Entry;
use super::epochs::{Epoch, InvalidationEpochs};
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;

/// How many values a shard holds at least, unless the cache holds fewer. A shard evicts as soon as it
/// is full, so a cache of many small shards would evict long before it holds its capacity.
const MIN_SHARD_CAPACITY: usize = 512;

/// The values of one cache, of all types.
pub(super) struct MemoryCache {
    entries: Cache<CacheKey, Entry, UnitWeighter, RandomState, CollectEvicted>,
    epochs: InvalidationEpochs,
    /// The number of entries. The shards would have to be locked one by one to count them.
    len: AtomicUsize,
    /// How many were evicted and are not recorded yet.
    evicted: AtomicUsize,
    /// The types of the values that were inserted. An invalidation removes the key of each.
    types: Mutex<Vec<TypeId>>,
}

/// Collects evicted entries for the caller of quick_cache, which drops them without a lock.
#[derive(Clone, Debug)]
struct CollectEvicted;

/// What one insertion has evicted.
type EvictionQueue = Vec<(CacheKey, Entry)>;

impl Lifecycle<CacheKey, Entry> for CollectEvicted {
    type RequestState = EvictionQueue;

    fn on_evict(&self, evicted: &mut EvictionQueue, key: CacheKey, entry: Entry) {
        evicted.push((key, entry));
    }
}

impl MemoryCache {
    /// A cache that holds at most `capacity` values, rounded up to a multiple of the number of shards.
    pub(super) fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity).unwrap_or(usize::MAX);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (items / MIN_SHARD_CAPACITY).clamp(1, 4 * threads);
        // quick_cache would round up to a power of two.
        let shards = 1 << shards.ilog2();
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(items)
            .weight_capacity(capacity)
            .build()
            .expect("both capacities are set");
        Self {
            entries: Cache::with_options(options, UnitWeighter, secret_hasher(), CollectEvicted),
            epochs: InvalidationEpochs::new(secret_hasher()),
            len: AtomicUsize::new(0),
            evicted: AtomicUsize::new(0),
            types: Mutex::default(),
        }
    }

    /// The number of values, expired ones among them.
    pub(super) fn len(&self) -> usize {
        // Below 0 for a moment, where an entry is removed before its insertion is counted.
        usize::try_from(self.len.load(Ordering::Relaxed).cast_signed()).unwrap_or_default()
    }

    /// Returns the entry of a key, which may have expired.
    #[inline]
    pub(super) fn get<T: CacheValue>(&self, key: Subject<'_>) -> Option<Entry> {
        self.entries.get(&CacheKeyRef::new(TypeId::of::<T>(), key))
    }

    /// Returns how many values were evicted since the last call.
    pub(super) fn take_evicted(&self) -> usize {
        self.evicted.swap(0, Ordering::Relaxed)
    }

    /// Inserts a value, unless its key was invalidated since `epoch`.
    pub(super) fn insert<T: CacheValue>(&self, key: Subject<'_>, entry: Entry, epoch: Epoch) {
        let value_type = TypeId::of::<T>();
        {
            let mut types = self.types();
            if !types.contains(&value_type) {
                types.push(value_type);
            }
        }
        let borrowed_key = CacheKeyRef::new(value_type, key);
        let key = borrowed_key.into();
        // Dropped last, when `if_current` has released its lock: `Drop` is the user's code.
        let mut evicted = EvictionQueue::new();
        let mut new = Some((key, entry));
        self.epochs.if_current(epoch, || {
            if let Some((key, entry)) = new.take() {
                self.entries.insert_with_lifecycle(key, entry, &mut evicted);
            }
        });
        if new.is_some() {
            return;
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        self.len.fetch_sub(evicted.len(), Ordering::Relaxed);
        let others = |(key, _): &&(CacheKey, Entry)| !borrowed_key.equivalent(key);
        let others = evicted.iter().filter(others).count();
        self.evicted.fetch_add(others, Ordering::Relaxed);
    }

    /// Returns the current epoch of a key: pass it to [`insert`](Self::insert) with a value whose
    /// computation begins now.
    pub(super) fn epoch(&self, key: Subject<'_>) -> Epoch {
        self.epochs.current(key)
    }

    /// Whether the key of `epoch` was not invalidated since.
    pub(super) fn is_current(&self, epoch: Epoch) -> bool {
        self.epochs.is_current(epoch)
    }

    /// Removes the values of one key, of every type.
    pub(super) fn invalidate(&self, key: Subject<'_>) {
        self.epochs.advance(key);
        // A copy, so that values are dropped without the lock.
        let types = self.types().clone();
        for value_type in types {
            if let Some(removed) = self.entries.remove(&CacheKeyRef::new(value_type, key)) {
                self.len.fetch_sub(1, Ordering::Relaxed);
                drop(removed);
            }
        }
    }

    /// Removes all values.
    pub(super) fn clear(&self) {
        self.epochs.advance_all();
        // `Cache::clear` drops the values under the locks of the shards. Collecting before dropping
        // ends even if the values insert others when they are dropped.
        let removed: EvictionQueue = self.entries.drain().collect();
        self.len.fetch_sub(removed.len(), Ordering::Relaxed);
        drop(removed);
    }

    fn types(&self) -> MutexGuard<'_, Vec<TypeId>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
