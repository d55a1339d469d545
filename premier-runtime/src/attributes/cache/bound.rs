//! A cache with its configuration.

use std::any::{Any, TypeId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use moka::sync::Cache;

use super::codec::{CacheValue, Codec};
use super::flights::Flights;
use super::forgotten::{Forgotten, Mark};
use super::front::{Fronts, GivenUp};
use super::key::{BorrowedKey, MemoryKey, Name};
use super::{prefix, warn};
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::key::full::Key;
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;
use crate::store::values::ValueStore;
use crate::telemetry::Lookups;

/// How long a shared value lives at most: nothing is left in Redis for ever.
const LONGEST_SHARED: Duration = Duration::from_secs(86_400);

/// A century.
const LONGEST_IN_MEMORY: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How long values live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// Without end, if nothing is said.
    pub(super) ttl: Option<Duration>,
    /// And then for so long, while one renews them.
    pub(super) stale: Duration,
}

/// See [`self`].
pub(crate) struct Bound {
    pub(super) name: Arc<str>,
    pub(super) lookups: Lookups,
    keyspace: Box<str>,
    pub(super) prefix: Box<str>,
    pub(super) lives: Lives,
    memory: Cache<MemoryKey, Entry, RandomState>,
    fronts: Fronts,
    /// The types of values there have been.
    types: Mutex<Vec<TypeId>>,
    /// Counts what was invalidated: a value that began before is not kept.
    pub(super) forgotten: Forgotten,
    /// Whether a value could not be written so that it reads back: such are for this process alone.
    unshared: AtomicBool,
    pub(super) flights: Flights,
    pub(super) clock: &'static SteadyClock,
    pub(super) store: Option<&'static dyn ValueStore>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bound")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A value in memory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    since: u64,
    fresh_until: u64,
    stale_until: u64,
    /// How often all had been forgotten before.
    clears: u64,
    stay: Arc<Stay>,
}

/// A value's stay in moka.
#[derive(Debug)]
struct Stay {
    name: Name,
    /// Not before it is known that its key was not invalidated before it was there to be found.
    is_valid: AtomicBool,
    given_up: Arc<GivenUp>,
}

/// By this moka tells. Its own way to tell takes locks of keys, under which it drops values: what they
/// do then could wait for itself.
impl Drop for Stay {
    fn drop(&mut self) {
        self.given_up.push(self.name.clone());
    }
}

impl Entry {
    const fn is_fresh(&self, now: u64) -> bool {
        now < self.fresh_until
    }

    /// Whether it is that one, and not one with an equal key.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stay, &other.stay)
    }

    fn value<T: CacheValue>(&self) -> Option<&T> {
        self.value.downcast_ref()
    }
}

/// What is known of a key.
pub(super) enum Known<T> {
    Fresh(T),
    Stale(T),
    Nothing,
}

impl Bound {
    pub(super) fn new(
        name: String,
        keyspace: &str,
        lives: Lives,
        capacity: u64,
        runtime: &'static Runtime,
    ) -> Self {
        let clock = runtime.clock();
        let mut memory = Cache::builder().max_capacity(capacity);
        if let (Some(ttl), SteadyClock::System) = (lives.ttl, clock) {
            // Values are read by premier's clock; this is for their memory to be freed in time.
            let longest = ttl.saturating_add(lives.stale);
            // Beyond this moka panics at a thousand years, and nobody's memory waits for it.
            if longest <= LONGEST_IN_MEMORY {
                memory = memory.time_to_live(longest);
            }
        }
        Self {
            prefix: prefix(keyspace, &name).into(),
            keyspace: keyspace.into(),
            lookups: Lookups::default(),
            name: name.into(),
            lives,
            memory: memory.build_with_hasher(secret_hasher()),
            fronts: Fronts::new(capacity),
            types: Mutex::default(),
            forgotten: Forgotten::new(secret_hasher()),
            unshared: AtomicBool::new(false),
            flights: Flights::default(),
            clock,
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

    pub(super) fn forget(&self, key: &str) {
        let key = Subject::Text(key);
        self.forgotten.one(key);
        // No lock is held while values are dropped.
        let types = self.types().clone();
        for of in types {
            self.drop_entry(&BorrowedKey::new(of, key));
        }
    }

    pub(super) fn forget_all(&self) {
        self.forgotten.all();
        self.memory.invalidate_all();
        self.fronts.clear();
    }

    /// In this order: what has left moka when a caller brings it forward is not shown, and what leaves
    /// moka later is found in front.
    fn drop_entry(&self, key: &BorrowedKey<'_>) {
        self.memory.invalidate(key);
        self.fronts.remove(key.user());
    }

    fn types(&self) -> MutexGuard<'_, Vec<TypeId>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a value that was computed since so much had been forgotten.
    pub(super) fn keep<T: CacheValue>(
        &self,
        key: &str,
        value: &T,
        codec: Codec<T>,
        forgotten: Mark,
    ) {
        let lives = self.lives.ttl.unwrap_or(Duration::MAX);
        let user = Subject::Text(key);
        self.insert(user, value.clone(), lives, forgotten, self.clock.now());
        let bytes = match codec.encode.filter(|_| self.is_shared(codec)) {
            Some(encode) => encode(value).map(Some),
            None => Ok(None),
        };
        // After what takes long, and before what others see.
        if !self.forgotten.is_current(forgotten) {
            return;
        }
        match (bytes, self.store) {
            (Ok(Some(bytes)), Some(store)) => {
                let lives = lives.min(LONGEST_SHARED);
                let lives = (lives.saturating_add(self.lives.stale)).min(LONGEST_IN_MEMORY);
                store.save(Key::new(&self.prefix, Some(key)), bytes, lives);
            }
            (Err(error), _) => {
                self.unshared.store(true, Ordering::Relaxed);
                // From now on others are not asked whether what is here still counts.
                self.forget_all();
                let forgotten = forgotten.after_a_clear();
                self.insert(user, value.clone(), lives, forgotten, self.clock.now());
                warn(
                    "a value cannot be shared, and its cache no longer is",
                    &self.name,
                    &error,
                );
            }
            _ => {}
        }
    }

    /// Keeps a value that began to be computed, or read, when so much had been forgotten. It counts for
    /// those who share values from `since` on.
    pub(super) fn insert<T: CacheValue>(
        &self,
        key: Subject<'_>,
        value: T,
        lives: Duration,
        forgotten: Mark,
        since: u64,
    ) {
        let of = TypeId::of::<T>();
        {
            let mut types = self.types();
            if !types.contains(&of) {
                types.push(of);
            }
        }
        let fresh_until = after(self.clock.now(), lives);
        let clears = self.forgotten.clears();
        let key = BorrowedKey::new(of, key);
        let memory_key = MemoryKey::from(key);
        let stay = Arc::new(Stay {
            name: memory_key.name().clone(),
            is_valid: AtomicBool::new(false),
            given_up: Arc::clone(self.fronts.given_up()),
        });
        let entry = Entry {
            value: Arc::new(value),
            since,
            fresh_until,
            stale_until: after(fresh_until, self.lives.stale),
            clears,
            stay: Arc::clone(&stay),
        };
        self.memory.insert(memory_key, entry);
        self.fronts.note_insert(key.user());
        match self.forgotten.is_current(forgotten) {
            // Whoever invalidates it from now on finds it.
            true => stay.is_valid.store(true, Ordering::Release),
            false => self.drop_entry(&key),
        }
    }

    /// What this process knows. A value that others share counts only if it is from `since` or
    /// later: they may have invalidated an older one.
    pub(super) fn look<T: CacheValue>(
        &self,
        key: Subject<'_>,
        shared: bool,
        since: u64,
    ) -> Known<T> {
        let key = BorrowedKey::new(TypeId::of::<T>(), key);
        let Some(entry) = self.memory.get(&key) else {
            return Known::Nothing;
        };
        let (Some(value), true) = (entry.value::<T>(), self.is_valid(&entry)) else {
            return Known::Nothing;
        };
        let now = self.clock.now();
        if shared && entry.since < since || now >= entry.stale_until {
            Known::Nothing
        } else if entry.is_fresh(now) {
            Known::Fresh(value.clone())
        } else {
            Known::Stale(value.clone())
        }
    }

    /// A value that is there and fresh, and for this process alone to know.
    // Into its caller, which knows whether the key is a number.
    #[inline(always)]
    pub(super) fn fresh<T: CacheValue>(&self, key: Subject<'_>, codec: Codec<T>) -> Option<T> {
        if self.is_shared(codec) {
            return None;
        }
        let key = key.canonical();
        match self.fronts.hit(key, || self.clock.now()) {
            Some(hit) => {
                if hit.is_news {
                    self.tell::<T>(key);
                }
                Some(hit.value)
            }
            None => self.bring_forward(key),
        }
    }

    /// Has moka note a hit.
    #[inline(never)]
    fn tell<T: CacheValue>(&self, key: Subject<'_>) {
        let _ = self.memory.get(&BorrowedKey::new(TypeId::of::<T>(), key));
    }

    /// A fresh value of moka's, which from now on is in front.
    #[inline(never)]
    fn bring_forward<T: CacheValue>(&self, user: Subject<'_>) -> Option<T> {
        let key = BorrowedKey::new(TypeId::of::<T>(), user);
        let forgotten = self.forgotten.mark(user);
        let entry = self.memory.get(&key)?;
        if !self.is_valid(&entry) || !entry.is_fresh(self.clock.now()) {
            return None;
        }
        let value = Arc::clone(&entry.value).downcast::<T>().ok()?;
        let pending = (self.fronts).insert(&key.into(), Arc::clone(&value), entry.fresh_until);
        // If moka still has this very entry, whoever takes it from there finds it in front as well.
        let is_there = || (self.memory.get(&key)).is_some_and(|there| there.is(&entry));
        match self.forgotten.is_current(forgotten) && is_there() {
            true => self.fronts.show::<T>(user, pending),
            false => self.fronts.remove(user),
        }
        Some(T::clone(&value))
    }

    fn is_valid(&self, entry: &Entry) -> bool {
        entry.stay.is_valid.load(Ordering::Acquire) && entry.clears == self.forgotten.clears()
    }

    pub(super) fn is_shared<T>(&self, codec: Codec<T>) -> bool {
        self.store.is_some() && codec.decode.is_some() && !self.unshared.load(Ordering::Relaxed)
    }
}
