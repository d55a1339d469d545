//! A cache with its configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::arguments::KeptArguments;
use super::call_key::CallKey;
use super::codec::{CacheValue, Codec};
use super::entry::{Entry, StoredValue};
use super::epochs::Epoch;
use super::flight_queue::FlightQueues;
use super::log::StoreState;
use super::memory::MemoryCache;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::key::full::Key;
use crate::key::subject::Subject;
use crate::store::values::{LoadToken, ValueStore};
use crate::telemetry::CacheTelemetry;

/// How long a shared value stays fresh at most, so that nothing stays in Redis for ever.
const MAX_SHARED_TTL: Duration = Duration::from_secs(86_400);

/// How long a shared value stays in Redis at most, stale or not: a century.
const MAX_SHARED_LIFETIME: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How long values may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl {
    /// How long a value is fresh; without end if `None`.
    pub(super) fresh: Option<Duration>,
    /// How long it may be used afterwards, while one caller computes a new value.
    pub(super) stale: Duration,
}

/// A cache with its configuration.
pub(crate) struct BoundCache {
    name: Arc<str>,
    telemetry: CacheTelemetry,
    keyspace: Box<str>,
    prefix: Box<str>,
    pub(super) ttl: Ttl,
    /// How long a caller waits for the computation of another one.
    pub(super) wait: Duration,
    memory: MemoryCache,
    pub(super) flights: FlightQueues,
    pub(super) store_state: StoreState,
    /// Set once a value could not be encoded so that it decodes to itself. From then on all values
    /// stay in this process.
    unshared: AtomicBool,
    pub(super) clock: &'static SteadyClock,
    pub(super) store: Option<&'static dyn ValueStore>,
}

/// A value cannot be shared.
#[derive(Debug)]
pub(super) struct Unshared;

/// What is known about the value of a key.
#[derive(Debug)]
pub(super) enum Known<T> {
    Fresh(T),
    Stale(T),
    Nothing,
}

impl std::fmt::Debug for BoundCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BoundCache")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Returns what the keys of a cache begin with in the shared store.
pub(super) fn prefix(keyspace: &str, name: &str) -> String {
    format!("{keyspace}:cache:{name}")
}

impl BoundCache {
    pub(super) fn new(
        name: String,
        keyspace: &str,
        shared_name: &str,
        ttl: Ttl,
        wait: Duration,
        capacity: u64,
        runtime: &'static Runtime,
    ) -> Self {
        Self {
            prefix: prefix(keyspace, shared_name).into(),
            keyspace: keyspace.into(),
            telemetry: CacheTelemetry::default(),
            name: name.into(),
            ttl,
            wait,
            memory: MemoryCache::new(capacity),
            flights: FlightQueues::default(),
            store_state: StoreState::default(),
            unshared: AtomicBool::new(false),
            clock: runtime.clock(),
            store: runtime.handler().values(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn keyspace(&self) -> &str {
        &self.keyspace
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether values of this codec are shared with other processes.
    pub(super) fn is_shared<T>(&self, codec: Codec<T>) -> bool {
        self.store.is_some() && codec.decode.is_some() && !self.unshared.load(Ordering::Relaxed)
    }

    /// Counts a lookup.
    #[inline]
    pub(super) fn record_lookup(&self, is_hit: bool) {
        self.telemetry.count(&self.name, is_hit);
    }

    /// Counts a lookup after its slow path, records the number of values, and logs the state of the shared store.
    /// Call this without a place in a queue: a recorder or a subscriber may call the function for this key.
    pub(super) fn record_found(&self, is_hit: bool) {
        self.record_lookup(is_hit);
        self.record_size();
        self.store_state.log(&self.name);
    }

    /// Returns the value of a key if it is in memory, fresh, not shared, and of this call by its arguments.
    #[inline]
    pub(super) fn hit<T: CacheValue>(
        &self,
        key: Subject<'_>,
        is_of_call: impl FnOnce(Option<&KeptArguments>) -> bool,
        codec: Codec<T>,
    ) -> Option<T> {
        if self.is_shared(codec) {
            return None;
        }
        let entry = self.memory.get::<T>(key)?;
        match entry.is_fresh(|| self.clock.now()) {
            true => entry.value.get(is_of_call),
            false => None,
        }
    }

    /// Returns what is in memory. Shared values are not: other processes may have invalidated them.
    pub(super) fn look<T: CacheValue>(&self, call: &CallKey) -> Known<T> {
        let Some(entry) = self.memory.get::<T>(call.subject()) else {
            return Known::Nothing;
        };
        let now = self.clock.now();
        let is_fresh = now < entry.fresh_until;
        if !is_fresh && now >= after(entry.fresh_until, self.ttl.stale) {
            return Known::Nothing;
        }
        match entry.value.get(|kept| call.is_of(kept)) {
            Some(value) if is_fresh => Known::Fresh(value),
            Some(value) => Known::Stale(value),
            None => Known::Nothing,
        }
    }

    /// Returns the current epoch of a key.
    pub(super) fn epoch(&self, key: Subject<'_>) -> Epoch {
        self.memory.epoch(key)
    }

    /// Keeps a value whose computation began in `epoch` in memory, unless it was invalidated since.
    pub(super) fn keep<T: CacheValue>(&self, call: &CallKey, value: StoredValue, epoch: Epoch) {
        let ttl = self.ttl.fresh.unwrap_or(Duration::MAX);
        let fresh_until = after(self.clock.now(), ttl);
        let entry = Entry { value, fresh_until };
        self.memory.insert::<T>(call.subject(), entry, epoch);
    }

    /// Saves a value whose computation began in `epoch` in the shared store, unless it was invalidated since. A
    /// store without tokens misses the invalidations of other processes.
    ///
    /// # Errors
    /// The value cannot be shared: from now on no value of this cache is.
    pub(super) fn save<T: CacheValue>(
        &self,
        call: &CallKey,
        value: &T,
        codec: Codec<T>,
        epoch: Epoch,
        token: LoadToken,
    ) -> Result<(), Unshared> {
        let (Some(encode), Some(arguments), Some(store)) =
            (codec.encode, call.shared_arguments(), self.store)
        else {
            return Ok(());
        };
        match encode(value, arguments) {
            // Checked after encoding, which may take long, and before other processes see the value.
            Ok(bytes) if self.memory.is_current(epoch) => {
                let ttl = self.ttl.fresh.unwrap_or(Duration::MAX);
                let lifetime = ttl.min(MAX_SHARED_TTL).saturating_add(self.ttl.stale);
                let lifetime = lifetime.min(MAX_SHARED_LIFETIME);
                store.save_begun(self.store_key(call), bytes, lifetime, token);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.unshared.store(true, Ordering::Relaxed);
                store.abandon(self.store_key(call), token);
                self.store_state.unshared(&error);
                Err(Unshared)
            }
        }
    }

    /// The key of a value in the shared store.
    pub(super) fn store_key<'a>(&'a self, call: &'a CallKey) -> Key<'a> {
        Key::new(&self.prefix, Some(&call.text))
    }

    /// Removes the value of one key from memory. Later callers do not wait for the computation that runs now.
    pub(super) fn invalidate(&self, key: &str) {
        self.memory.invalidate(Subject::Text(key));
        self.flights.invalidate(key);
        self.record_size();
    }

    /// Does what [`BoundCache::invalidate`] does, for all keys.
    pub(super) fn clear(&self) {
        self.memory.clear();
        self.flights.clear();
        self.record_size();
    }

    /// The number of values, expired ones among them.
    #[cfg(feature = "dashboard")]
    pub(super) fn len(&self) -> usize {
        self.memory.len()
    }

    /// Registers the metrics. No lock may be held.
    pub(super) fn register_metrics(&self) {
        self.telemetry.register(&self.name);
    }

    /// Records how many values there are and how many were evicted. Call this without a lock and without a place in
    /// a queue: a recorder may call the function for this key.
    fn record_size(&self) {
        let evicted = self.memory.take_evicted();
        self.telemetry
            .resized(&self.name, evicted, || self.memory.len());
    }
}
