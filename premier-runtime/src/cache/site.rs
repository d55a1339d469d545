//! The static of one `#[cache]`, and how a call finds its value.

use std::any::{Any, TypeId};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::codec::{CacheValue, Codec};
use super::flight::Flight;
use super::key::{BorrowedKey, MemoryKey};
use super::store::{Loaded, ValueStore};
use super::{caches, prefix, warn};
use crate::Error;
use crate::clock::{SteadyClock, after};
use crate::handler::Key;
use crate::key_text::KeyText;
use crate::lines::{self, LineKey, Purpose, Ticket};
use crate::place::Place;
use crate::runtime::Runtime;
use crate::spec::note;
use crate::telemetry::Lookups;
use crate::values::{IntoPeriod, IntoUnits};

/// What one `#[cache]` says, as values.
#[derive(Debug)]
pub struct CacheSpec {
    place: Place,
    ttl: Option<Duration>,
    stale: Duration,
    capacity: u64,
    keyspace: Option<&'static str>,
    problem: Option<Error>,
}

/// How many values are kept, where the attribute does not say.
const CAPACITY: u64 = 10_000;

/// How long a shared value lives at most: nothing is left in Redis for ever.
const LONGEST_SHARED: Duration = Duration::from_secs(86_400);

impl CacheSpec {
    /// The defaults: 10,000 values, until others take their place.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            place,
            ttl: None,
            stale: Duration::ZERO,
            capacity: CAPACITY,
            keyspace: None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.place = self.place.named(name);
        self
    }

    /// `keyspace = …`
    #[must_use]
    pub fn keyspace(mut self, keyspace: &'static str) -> Self {
        self.keyspace = Some(keyspace);
        self
    }

    /// `ttl = …`
    #[must_use]
    pub fn ttl(mut self, ttl: impl IntoPeriod) -> Self {
        self.ttl = note(&mut self.problem, ttl.into_period());
        self
    }

    /// `stale = …`
    #[must_use]
    pub fn stale(mut self, stale: impl IntoPeriod) -> Self {
        self.stale = note(&mut self.problem, stale.into_period()).unwrap_or_default();
        self
    }

    /// `capacity = …`
    #[must_use]
    pub fn capacity(mut self, capacity: impl IntoUnits) -> Self {
        let capacity = note(&mut self.problem, capacity.into_units("capacity"));
        self.capacity = capacity.unwrap_or(CAPACITY);
        self
    }

    fn bind(self) -> Option<Bound> {
        let runtime = Runtime::global();
        let name = self.place.name_or_path();
        if let Some(problem) = self.problem {
            warn("a cache is not used", &name, &problem);
            return None;
        }
        let clock = runtime.clock();
        let mut memory = moka::sync::Cache::builder().max_capacity(self.capacity);
        if let (Some(ttl), SteadyClock::System) = (self.ttl, clock) {
            // Values are read by premier's clock; this is for their memory to be freed in time.
            let longest = ttl.saturating_add(self.stale);
            // Beyond this moka panics at a thousand years, and nobody's memory waits for it.
            if longest <= LONGEST_IN_MEMORY {
                memory = memory.time_to_live(longest);
            }
        }
        let keyspace = self.keyspace.unwrap_or(runtime.keyspace());
        Some(Bound {
            prefix: prefix(keyspace, &name).into(),
            keyspace: keyspace.into(),
            lookups: Lookups::default(),
            name: name.into(),
            ttl: self.ttl,
            stale: self.stale,
            memory: memory.build(),
            types: Mutex::default(),
            forgotten: Forgotten::default(),
            unshared: AtomicBool::new(false),
            clock,
            store: runtime.handler().values(),
        })
    }
}

/// A century.
const LONGEST_IN_MEMORY: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How often keys were invalidated, in groups of keys: an invalidation of one key says nothing of
/// most others.
#[derive(Default)]
struct Forgotten {
    hasher: std::hash::RandomState,
    all: AtomicU64,
    groups: [AtomicU64; 32],
}

impl Forgotten {
    fn group(&self, key: &str) -> &AtomicU64 {
        let hash = self.hasher.hash_one(key);
        // The remainder is below the length.
        &self.groups[(hash % self.groups.len() as u64) as usize]
    }

    fn of(&self, key: &str) -> u64 {
        self.all.load(Ordering::SeqCst) + self.group(key).load(Ordering::SeqCst)
    }

    fn one(&self, key: &str) {
        self.group(key).fetch_add(1, Ordering::SeqCst);
    }

    fn all(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }
}

/// A cache with its configuration.
pub(crate) struct Bound {
    name: Arc<str>,
    lookups: Lookups,
    keyspace: Box<str>,
    prefix: Box<str>,
    ttl: Option<Duration>,
    stale: Duration,
    memory: moka::sync::Cache<MemoryKey, Entry>,
    /// The types of values there have been.
    types: Mutex<Vec<TypeId>>,
    /// Counts what was invalidated: a value that began before is not kept.
    forgotten: Forgotten,
    /// Whether a value could not be written so that it reads back: such are for this process alone.
    unshared: AtomicBool,
    clock: &'static SteadyClock,
    store: Option<&'static dyn ValueStore>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bound")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    since: u64,
    fresh_until: u64,
    stale_until: u64,
}

/// What is known of a key.
enum Known<T> {
    Fresh(T),
    Stale(T),
    Nothing,
}

impl Bound {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn keyspace(&self) -> &str {
        &self.keyspace
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How much was invalidated that may be this key.
    fn forgotten(&self, key: &str) -> u64 {
        self.forgotten.of(key)
    }

    pub(super) fn forget(&self, key: &str) {
        self.forgotten.one(key);
        for &of in &*self.types.lock().unwrap_or_else(PoisonError::into_inner) {
            self.memory.invalidate(&BorrowedKey { of, key });
        }
    }

    pub(super) fn forget_all(&self) {
        self.forgotten.all();
        self.memory.invalidate_all();
    }

    /// Keeps a value that was computed since so much had been forgotten.
    pub(super) fn keep<T: CacheValue>(
        &self,
        key: &str,
        value: &T,
        codec: Codec<T>,
        forgotten: u64,
    ) {
        let of = TypeId::of::<T>();
        {
            let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
            if !types.contains(&of) {
                types.push(of);
            }
        }
        let lives = self.ttl.unwrap_or(Duration::MAX);
        self.insert(BorrowedKey { of, key }, value.clone(), lives);
        let bytes = match codec.encode.filter(|_| self.is_shared(codec)) {
            Some(encode) => encode(value).map(Some),
            None => Ok(None),
        };
        // After what takes long, and before what others see.
        if self.forgotten(key) != forgotten {
            self.memory.invalidate(&BorrowedKey { of, key });
            return;
        }
        match (bytes, self.store) {
            (Ok(Some(bytes)), Some(store)) => {
                let lives = lives.min(LONGEST_SHARED);
                let lives = lives.saturating_add(self.stale).min(LONGEST_IN_MEMORY);
                store.save(Key::new(&self.prefix, Some(key)), bytes, lives);
            }
            (Err(error), _) => {
                self.unshared.store(true, Ordering::Relaxed);
                warn(
                    "a value cannot be shared, and its cache no longer is",
                    &self.name,
                    &error,
                );
            }
            _ => {}
        }
    }

    fn insert<T: CacheValue>(&self, key: BorrowedKey<'_>, value: T, lives: Duration) {
        let since = self.clock.now();
        let fresh_until = after(since, lives);
        let entry = Entry {
            value: Arc::new(value),
            since,
            fresh_until,
            stale_until: after(fresh_until, self.stale),
        };
        self.memory.insert(key.into(), entry);
    }

    /// What this process knows. A value that others share counts only if it is from `since` or
    /// later: they may have invalidated an older one.
    fn look<T: CacheValue>(&self, key: &str, shared: bool, since: u64) -> Known<T> {
        let of = TypeId::of::<T>();
        let Some(entry) = self.memory.get(&BorrowedKey { of, key }) else {
            return Known::Nothing;
        };
        let Some(value) = entry.value.downcast_ref::<T>() else {
            return Known::Nothing;
        };
        let now = self.clock.now();
        if shared && entry.since < since || now >= entry.stale_until {
            Known::Nothing
        } else if now < entry.fresh_until {
            Known::Fresh(value.clone())
        } else {
            Known::Stale(value.clone())
        }
    }

    /// A value that is there and fresh, and for this process alone to know.
    #[inline]
    fn fresh<T: CacheValue>(&self, key: &str, codec: Codec<T>) -> Option<T> {
        if self.is_shared(codec) {
            return None;
        }
        match self.look(key, false, 0) {
            Known::Fresh(value) => Some(value),
            _ => None,
        }
    }

    fn is_shared<T>(&self, codec: Codec<T>) -> bool {
        self.store.is_some() && codec.decode.is_some() && !self.unshared.load(Ordering::Relaxed)
    }
}

/// The static of one `#[cache]`.
#[derive(Debug, Default)]
pub struct CacheSite {
    bound: OnceLock<Option<Bound>>,
}

/// A call that looks for its value.
#[derive(Debug)]
pub struct Searching<T>(Stage<T>);

#[derive(Debug)]
enum Stage<T> {
    Found(T),
    Unbound(Codec<T>),
    Search(Search<T>),
}

/// A call on its way to a value that is not at hand.
#[derive(Debug)]
struct Search<T> {
    bound: &'static Bound,
    key: Box<str>,
    line: LineKey,
    codec: Codec<T>,
    shared: bool,
    since: u64,
}

impl CacheSite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    fn bound(&'static self, spec: fn() -> CacheSpec) -> Option<&'static Bound> {
        // Taken in only once: `get_or_init` runs for one caller.
        let mut new = false;
        let bound = self.bound.get_or_init(|| {
            new = true;
            spec().bind()
        });
        let bound = bound.as_ref()?;
        if new {
            caches().push(bound);
        }
        Some(bound)
    }

    /// Looks for the value of a key: at once if it is at hand.
    #[inline]
    pub fn search<T: CacheValue>(
        &'static self,
        spec: fn() -> CacheSpec,
        codec: Codec<T>,
        key: impl KeyText,
    ) -> Searching<T> {
        let bound = self.bound(spec);
        key.with_text(|key| {
            let (Some(bound), Some(key)) = (bound, key) else {
                return Searching(Stage::Unbound(codec));
            };
            Searching(match bound.fresh(key, codec) {
                Some(value) => {
                    bound.lookups.count(&bound.name, true);
                    Stage::Found(value)
                }
                None => Stage::Search(Search::new(bound, key, codec)),
            })
        })
    }
}

impl<T: CacheValue> Searching<T> {
    /// The value, or the right to compute it; waits on the thread while another computes it.
    ///
    /// # Errors
    /// The value has to be computed.
    pub fn find(self) -> Result<T, Flight<T>> {
        let search = match self.0 {
            Stage::Found(value) => return Ok(value),
            Stage::Unbound(codec) => return Err(Flight::unbound(codec)),
            Stage::Search(search) => search,
        };
        if let Some(store) = search.store_while_renewed()
            && let Some(value) = search.old(store.load(search.shared_key()))
        {
            return Ok(value);
        }
        let (ticket, stale) = match search.board() {
            Ok(value) => return Ok(value),
            Err(boarding) => boarding,
        };
        ticket.turn(search.bound.clock, u64::MAX, || Some(()));
        let mut known = search.look(stale);
        if let (Known::Nothing, Some(store)) = (&known, search.store()) {
            let forgotten = search.bound.forgotten(&search.key);
            known = search.read(store.load(search.shared_key()), forgotten);
        }
        search.decide(known, ticket)
    }

    /// The same, awaiting.
    ///
    /// # Errors
    /// The value has to be computed.
    pub async fn find_async(self) -> Result<T, Flight<T>> {
        let search = match self.0 {
            Stage::Found(value) => return Ok(value),
            Stage::Unbound(codec) => return Err(Flight::unbound(codec)),
            Stage::Search(search) => search,
        };
        if let Some(store) = search.store_while_renewed()
            && let Some(value) = search.old(store.load_async(search.shared_key()).await)
        {
            return Ok(value);
        }
        let (ticket, stale) = match search.board() {
            Ok(value) => return Ok(value),
            Err(boarding) => boarding,
        };
        ticket
            .turn_async(search.bound.clock, u64::MAX, || Some(()))
            .await;
        let mut known = search.look(stale);
        if let (Known::Nothing, Some(store)) = (&known, search.store()) {
            let forgotten = search.bound.forgotten(&search.key);
            known = search.read(store.load_async(search.shared_key()).await, forgotten);
        }
        search.decide(known, ticket)
    }
}

impl<T: CacheValue> Search<T> {
    fn new(bound: &'static Bound, key: &str, codec: Codec<T>) -> Self {
        let site = std::ptr::from_ref(bound).addr();
        let purpose = Purpose::Flight(TypeId::of::<T>());
        let line = Arc::new((site, purpose, "".into(), Some(key.into())));
        Self {
            bound,
            key: key.into(),
            line,
            codec,
            shared: bound.is_shared(codec),
            since: bound.clock.now(),
        }
    }

    /// Where an old value may be had while another caller renews it, if it is shared: what this
    /// process remembers does not count, for others may have invalidated it.
    fn store_while_renewed(&self) -> Option<&'static dyn ValueStore> {
        let renewed = !self.bound.stale.is_zero() && lines::any();
        self.store()
            .filter(|_| renewed && lines::ahead(&self.line).is_some())
    }

    fn old(&self, loaded: Result<Loaded, Error>) -> Option<T> {
        match self.read(loaded, self.bound.forgotten(&self.key)) {
            Known::Fresh(value) | Known::Stale(value) => {
                self.bound.lookups.count(&self.bound.name, true);
                Some(value)
            }
            Known::Nothing => None,
        }
    }

    /// A place behind those who compute the value; or an old value, while others renew it.
    fn board(&self) -> Result<T, (Ticket, Option<T>)> {
        let stale = match self.bound.look::<T>(&self.key, self.shared, self.since) {
            Known::Stale(value) => Some(value),
            _ => None,
        };
        if let Some(value) = &stale
            && lines::any()
            && lines::ahead(&self.line).is_some()
        {
            self.bound.lookups.count(&self.bound.name, true);
            return Ok(value.clone());
        }
        let ticket = Ticket::wait(Arc::clone(&self.line), 1, 0, lines::nudges());
        Err((ticket, stale))
    }

    /// What there is once it is this one's turn.
    fn look(&self, stale: Option<T>) -> Known<T> {
        match self.bound.look(&self.key, self.shared, self.since) {
            Known::Nothing => stale.map_or(Known::Nothing, Known::Stale),
            known => known,
        }
    }

    fn store(&self) -> Option<&'static dyn ValueStore> {
        self.bound.store.filter(|_| self.shared)
    }

    fn shared_key(&self) -> Key<'_> {
        Key::new(&self.bound.prefix, Some(&self.key))
    }

    fn decide(&self, known: Known<T>, ticket: Ticket) -> Result<T, Flight<T>> {
        let Bound { lookups, name, .. } = self.bound;
        lookups.count(name, matches!(known, Known::Fresh(_)));
        let stale = match known {
            Known::Fresh(value) => return Ok(value),
            Known::Stale(value) => Some(value),
            Known::Nothing => None,
        };
        Err(Flight::new(
            self.bound,
            &self.key,
            self.codec,
            // From here on it is computed.
            self.bound.forgotten(&self.key),
            ticket,
            stale,
        ))
    }

    /// What the shared store has answered, asked since so much had been forgotten.
    fn read(&self, loaded: Result<Loaded, Error>, forgotten: u64) -> Known<T> {
        let Self {
            bound, key, codec, ..
        } = self;
        let (bytes, left) = match loaded {
            Ok(Some(found)) => found,
            Ok(None) => return Known::Nothing,
            Err(error) => {
                warn("the shared cache did not answer", &bound.name, &error);
                return Known::Nothing;
            }
        };
        match codec.decode.map(|decode| decode(&bytes)) {
            Some(Ok(value)) if left > bound.stale => {
                let key = BorrowedKey {
                    of: TypeId::of::<T>(),
                    key,
                };
                if bound.forgotten(key.key) == forgotten {
                    // For those who wait behind this one.
                    bound.insert(key, value.clone(), left.saturating_sub(bound.stale));
                }
                Known::Fresh(value)
            }
            Some(Ok(value)) => Known::Stale(value),
            Some(Err(error)) => {
                warn("a shared value could not be read", &bound.name, &error);
                Known::Nothing
            }
            None => Known::Nothing,
        }
    }
}
