//! Limits inside one process.

mod bucket;
mod deep;
mod keyless;
mod shard;
mod states;
mod sync;
mod table;
mod window;
mod word;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::bucket::Bucket;
pub(crate) use self::keyless::ON_THE_SPOT;
pub(crate) use self::table::{Keys, Table};
pub(crate) use self::word::Verdict;
use crate::algorithms::Plan;
use crate::clock::{Clock, SteadyClock};
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::handler::Handler;
use crate::store::request::Request;

/// Keeps the state of limits in this process. The default handler.
///
/// Defaults: [`SystemClock`](crate::clock::SystemClock), at most 4,194,304 keys.
///
/// Clones share their state. Keys that owe nothing any more are forgotten a few at a time while
/// others come in; a key that still owes is never forgotten. When
/// [`max_keys`](MemoryHandlerBuilder::max_keys) keys owe something, a new one is refused with
/// [`Error::TooManyKeys`].
#[derive(Clone, Debug, Default)]
pub struct MemoryHandler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: SteadyClock,
    max_keys: usize,
    keys: AtomicUsize,
    tables: Mutex<HashMap<Box<str>, Arc<Table>>>,
    next_table: AtomicUsize,
}

/// The default of [`MemoryHandlerBuilder::max_keys`].
const MAX_KEYS: usize = 1 << 22;

impl Default for Shared {
    fn default() -> Self {
        Self {
            clock: SteadyClock::default(),
            max_keys: MAX_KEYS,
            keys: AtomicUsize::new(0),
            tables: Mutex::default(),
            next_table: AtomicUsize::new(0),
        }
    }
}

impl MemoryHandler {
    /// A handler with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handler with another clock or bound.
    #[must_use]
    pub fn builder() -> MemoryHandlerBuilder {
        MemoryHandlerBuilder::default()
    }

    /// How many keys are remembered now. Limits without a key do not count.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shared.keys.load(Ordering::Relaxed)
    }

    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.shared.clock
    }

    /// The states of all keys with this prefix. Call sites look it up once.
    pub(crate) fn table(&self, prefix: &str, plans: &[Plan]) -> Arc<Table> {
        let mut tables = self.tables();
        let table = match tables.get(prefix) {
            Some(table) => Arc::clone(table),
            None => {
                let table = Arc::new(Table::new(plans, &self.shared.clock));
                tables.insert(prefix.into(), Arc::clone(&table));
                table
            }
        };
        table.register(plans);
        table
    }

    /// Carries out a request on the table of its prefix.
    #[inline]
    pub(crate) fn handle_in(
        &self,
        table: &Table,
        request: &Request<'_>,
    ) -> Result<Decision, Error> {
        match request.key.user() {
            None => table.handle_keyless(request),
            Some(user) => self.handle_keyed(table, user, request),
        }
    }

    fn handle_keyed(
        &self,
        table: &Table,
        user: &str,
        request: &Request<'_>,
    ) -> Result<Decision, Error> {
        match table.handle_keyed(user, request, &self.shared) {
            Err(Error::TooManyKeys { .. }) if self.make_room() => {
                table.handle_keyed(user, request, &self.shared)
            }
            result => result,
        }
    }

    /// Looks for keys to forget in other places than the one that is full; a bounded step.
    fn make_room(&self) -> bool {
        let tables: Vec<_> = self.tables().values().cloned().collect();
        // Another table first each time, or a large one would take every step for itself.
        let first = self.shared.next_table.fetch_add(1, Ordering::Relaxed) % tables.len().max(1);
        let mut budget = table::STEP_AT_THE_BOUND;
        let mut freed = false;
        for table in tables[first..].iter().chain(&tables[..first]) {
            freed |= table.sweep(&mut budget, &self.shared);
            if freed || budget == 0 {
                break;
            }
        }
        freed
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Table>>> {
        self.shared
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Counts one key more, unless the bound is reached.
    fn admit_key(&self) -> Result<(), Error> {
        let admitted = self
            .keys
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |keys| {
                (keys < self.max_keys).then_some(keys + 1)
            });
        match admitted {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::TooManyKeys {
                function: "".into(),
                key: None,
                max_keys: self.max_keys,
            }),
        }
    }

    fn forget_keys(&self, count: usize) {
        self.keys.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The memory handler that `handler` is, which decides without a virtual call.
pub(crate) fn as_memory(handler: &dyn Handler) -> Option<&MemoryHandler> {
    let any: &dyn std::any::Any = handler;
    any.downcast_ref()
}

impl Handler for MemoryHandler {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.handle_in(&self.table(request.key.prefix(), request.plans), request)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        let tables: Vec<_> = self
            .tables()
            .iter()
            .filter(|(prefix, _)| {
                prefix
                    .strip_prefix(keyspace)
                    .is_some_and(|rest| rest.starts_with(':'))
            })
            .map(|(_, table)| Arc::clone(table))
            .collect();
        for table in tables {
            table.clear(&self.shared);
        }
        Ok(())
    }
}

/// Builds a [`MemoryHandler`].
#[derive(Debug, Default)]
pub struct MemoryHandlerBuilder {
    shared: Shared,
}

impl MemoryHandlerBuilder {
    /// Decides and sleeps by this clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = SteadyClock::watching(clock);
        self
    }

    /// Bounds how many keys are remembered at one time. At the bound new keys are refused with
    /// [`Error::TooManyKeys`], so that no key's debt is dropped for another's sake.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.shared.max_keys = keys;
        self
    }

    /// The handler.
    #[must_use]
    pub fn build(self) -> MemoryHandler {
        MemoryHandler {
            shared: Arc::new(self.shared),
        }
    }
}
