//! A cache with its configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::arguments::KeptArguments;
use super::codec::{CacheValue, Codec};
use super::entry::{Entry, StoredValue};
use super::epochs::Epoch;
use super::flight_queue::FlightQueues;
use super::log::log_failure;
use super::memory::MemoryCache;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::key::full::Key;
use crate::key::subject::Subject;
use crate::store::values::ValueStore;
use crate::telemetry::Lookups;

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
    lookups: Lookups,
    keyspace: Box<str>,
    prefix: Box<str>,
    pub(super) ttl: Ttl,
    memory: MemoryCache,
    pub(super) flights: FlightQueues,
    /// Set once a value could not be encoded so that it decodes to itself. From then on all values
    /// stay in this process.
    unshared: AtomicBool,
    pub(super) clock: &'static SteadyClock,
    pub(super) store: Option<&'static dyn ValueStore>,
}

/// The key of a call that found no value at once.
#[derive(Clone, Debug)]
pub(super) struct CallKey {
    pub(super) text: Box<str>,
    /// The arguments, if the text does not tell them.
    pub(super) arguments: Option<Arc<KeptArguments>>,
}

impl CallKey {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject::Text(&self.text)
    }

    /// What other processes compare the arguments by, empty if the text is enough; `None` if the value cannot be
    /// shared.
    pub(super) fn shared_arguments(&self) -> Option<&str> {
        match &self.arguments {
            Some(arguments) => arguments.json(),
            None => Some(""),
        }
    }
}

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
        capacity: u64,
        runtime: &'static Runtime,
    ) -> Self {
        Self {
            prefix: prefix(keyspace, shared_name).into(),
            keyspace: keyspace.into(),
            lookups: Lookups::default(),
            name: name.into(),
            ttl,
            memory: MemoryCache::new(capacity),
            flights: FlightQueues::default(),
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
        self.lookups.count(&self.name, is_hit);
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

    /// Returns what this process knows about a key. A shared value counts only if it was loaded at
    /// `loaded_after` or later, because other processes may have invalidated an older one.
    pub(super) fn look<T: CacheValue>(
        &self,
        key: Subject<'_>,
        arguments: Option<&KeptArguments>,
        loaded_after: Option<u64>,
    ) -> Known<T> {
        let Some(entry) = self.memory.get::<T>(key) else {
            return Known::Nothing;
        };
        if loaded_after.is_some_and(|instant| entry.loaded_at < instant) {
            return Known::Nothing;
        }
        let now = self.clock.now();
        let is_fresh = now < entry.fresh_until;
        if !is_fresh && now >= after(entry.fresh_until, self.ttl.stale) {
            return Known::Nothing;
        }
        match entry.value.get(|kept| kept == arguments) {
            Some(value) if is_fresh => Known::Fresh(value),
            Some(value) => Known::Stale(value),
            None => Known::Nothing,
        }
    }

    /// Returns the current epoch of a key.
    pub(super) fn epoch(&self, key: Subject<'_>) -> Epoch {
        self.memory.epoch(key)
    }

    /// Keeps a value whose computation began in `epoch`, in memory and in the shared store. A value
    /// that was invalidated since is not kept.
    pub(super) fn keep<T: CacheValue>(
        &self,
        call: &CallKey,
        value: &T,
        codec: Codec<T>,
        epoch: Epoch,
    ) {
        let ttl = self.ttl.fresh.unwrap_or(Duration::MAX);
        self.insert(call, value.clone(), ttl, epoch, self.clock.now());
        let shared = call.shared_arguments().filter(|_| self.is_shared(codec));
        let bytes = match (codec.encode, shared) {
            (Some(encode), Some(arguments)) => encode(value, arguments).map(Some),
            _ => Ok(None),
        };
        // Checked after encoding, which may take long, and before other processes see the value.
        if !self.memory.is_current(epoch) {
            return;
        }
        match (bytes, self.store) {
            (Ok(Some(bytes)), Some(store)) => {
                let lifetime = ttl.min(MAX_SHARED_TTL).saturating_add(self.ttl.stale);
                let lifetime = lifetime.min(MAX_SHARED_LIFETIME);
                store.save(Key::new(&self.prefix, Some(&call.text)), bytes, lifetime);
            }
            (Err(error), _) => {
                self.unshared.store(true, Ordering::Relaxed);
                // Other processes may have invalidated values that are in memory, and from now on
                // the shared store is not asked.
                self.memory.clear();
                let now = self.clock.now();
                self.insert(call, value.clone(), ttl, epoch.next(), now);
                log_failure(
                    "a value cannot be shared, and its cache no longer is",
                    &self.name,
                    &error,
                );
            }
            (Ok(_), _) => {}
        }
    }

    /// Keeps a value in memory, unless its key was invalidated since `epoch`.
    pub(super) fn insert<T: CacheValue>(
        &self,
        call: &CallKey,
        value: T,
        ttl: Duration,
        epoch: Epoch,
        loaded_at: u64,
    ) {
        let entry = Entry {
            value: StoredValue::new(value, call.arguments.clone()),
            loaded_at,
            fresh_until: after(self.clock.now(), ttl),
        };
        self.memory.insert::<T>(call.subject(), entry, epoch);
    }

    /// Removes the value of one key from memory.
    pub(super) fn invalidate(&self, key: &str) {
        self.memory.invalidate(Subject::Text(key));
        self.record_size();
    }

    /// Removes all values from memory.
    pub(super) fn clear(&self) {
        self.memory.clear();
        self.record_size();
    }

    /// The number of values, expired ones among them.
    #[cfg(feature = "dashboard")]
    pub(super) fn len(&self) -> usize {
        self.memory.len()
    }

    /// Registers the metrics. No lock may be held.
    pub(super) fn register_metrics(&self) {
        self.lookups.register(&self.name);
    }

    /// Records how many values there are and were evicted. No lock may be held, and no place in a queue: a recorder
    /// may call the function for the same key.
    pub(super) fn record_size(&self) {
        let evicted = self.memory.take_evicted();
        self.lookups
            .resized(&self.name, evicted, || self.memory.len());
    }
}
