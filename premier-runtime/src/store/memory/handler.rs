//! The memory handler.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key_count::KeyCount;
use super::table::{STEP_AT_THE_BOUND, Table};
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

#[derive(Debug, Default)]
struct Shared {
    clock: SteadyClock,
    keys: KeyCount,
    tables: Mutex<HashMap<Box<str>, Arc<Table>>>,
    next_table: AtomicUsize,
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
        self.shared.keys.get()
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
        match request.key.subject() {
            None => table.handle_keyless(request),
            Some(key) => self.handle_keyed(table, key, request),
        }
    }

    fn handle_keyed(
        &self,
        table: &Table,
        key: &str,
        request: &Request<'_>,
    ) -> Result<Decision, Error> {
        match table.handle_keyed(key, request, &self.shared.keys) {
            Err(Error::TooManyKeys { .. }) if self.make_room() => {
                table.handle_keyed(key, request, &self.shared.keys)
            }
            result => result,
        }
    }

    /// Looks for keys to forget in other places than the one that is full; a bounded step.
    fn make_room(&self) -> bool {
        let tables: Vec<_> = self.tables().values().cloned().collect();
        // Another table first each time, or a large one would take every step for itself.
        let first = self.shared.next_table.fetch_add(1, Ordering::Relaxed) % tables.len().max(1);
        let mut budget = STEP_AT_THE_BOUND;
        let mut freed = false;
        for table in tables[first..].iter().chain(&tables[..first]) {
            freed |= table.sweep(&mut budget, &self.shared.keys);
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

/// The memory handler that `handler` is, which decides without a virtual call.
pub(crate) fn as_memory(handler: &dyn Handler) -> Option<&MemoryHandler> {
    let any: &dyn Any = handler;
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
            table.clear(&self.shared.keys);
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
        self.shared.clock = SteadyClock::new(clock);
        self
    }

    /// Bounds how many keys are remembered at one time. At the bound new keys are refused with
    /// [`Error::TooManyKeys`], so that no key's debt is dropped for another's sake.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.shared.keys = KeyCount::at_most(keys);
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
