//! The memory handler and its builder.

use std::any::Any;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::key_count::KeyCount;
use super::table::{STEP_WHEN_FULL, Table};
use super::tables::Tables;
use crate::algorithms::Plan;
use crate::clock::{Clock, SteadyClock};
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::handler::Handler;
use crate::store::request::{Operation, Request};
use crate::sync::lock_std;

/// Keeps the state of limits in the memory of this process. The default handler.
///
/// Defaults: [`SystemClock`](crate::clock::SystemClock), at most 4,194,304 keys, of which one limit has at most
/// 1,048,576.
///
/// Clones share their state. A key whose state has become that of an unused key is removed some time
/// later, when other keys are inserted. A key in use is never removed: when
/// [`max_keys`](MemoryHandlerBuilder::max_keys) keys are in use, or
/// [`max_keys_per_limit`](MemoryHandlerBuilder::max_keys_per_limit) of one limit, a call with a new key fails with
/// [`Error::TooManyKeys`].
///
/// # What a limit costs
/// The state of a limit belongs to its name. It takes about 500 bytes with one key, and 16 to 32 bytes
/// for each further key, whose capacity grows by doubling; sliding logs take more. A key of 23 to 128 bytes takes
/// as many more, and a longer one is kept as a hash. Above 64 keys, or once
/// several threads use the limit at one instant, it is split into shards with a lock each, which take
/// 8 KiB.
///
/// When the last limit with a name is dropped, the state of its keys is kept for the next limit with that name.
/// Once the keys owe nothing, the state is removed when other limits of this handler are first used or dropped, at
/// the latest after twice the time that this took. Limits of annotated functions are never dropped. See
/// [`Throttle`](crate::Throttle#many-limits) for limits that come and go.
///
/// ```
/// use premier::{Limit, MemoryHandler, Throttle};
/// use std::time::Duration;
///
/// let handler = MemoryHandler::new();
/// let limit = Limit::fixed_window(1, Duration::from_secs(60));
/// let login = Throttle::new("login", limit).with_config(handler.clone());
/// login.acquire("alice")?;
/// assert_eq!(handler.keys(), 1);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryHandler {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clock: SteadyClock,
    keys: Arc<KeyCount>,
    tables: Mutex<Tables>,
    next_table: AtomicUsize,
}

impl MemoryHandler {
    /// Creates a handler with the system's clock and at most 4,194,304 keys.
    ///
    /// ```
    /// use premier::MemoryHandler;
    ///
    /// premier::config(MemoryHandler::new())?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a builder, to choose the clock and the maximum number of keys.
    ///
    /// ```
    /// use premier::MemoryHandler;
    ///
    /// let handler = MemoryHandler::builder().max_keys(100_000).build();
    /// # let _ = handler;
    /// ```
    #[must_use]
    pub fn builder() -> MemoryHandlerBuilder {
        MemoryHandlerBuilder::default()
    }

    /// Returns the number of keys with a state. Limits without keys do not count.
    ///
    /// ```
    /// assert_eq!(premier::MemoryHandler::new().keys(), 0);
    /// ```
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shared.keys.get()
    }

    /// Returns a number that clones share and other handlers do not.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.shared.clock
    }

    /// Returns the table of all keys with this prefix, creating it if needed. Limits look their table
    /// up once.
    pub(crate) fn bind(&self, prefix: &str, plans: &[Plan]) -> BoundTable {
        self.remove_unused_tables();
        let Shared { clock, keys, .. } = &*self.shared;
        let (prefix, table) = self.tables().bind(prefix, plans, clock, keys);
        BoundTable {
            handler: self.clone(),
            prefix,
            table,
        }
    }

    fn unbind(&self, prefix: &Arc<str>) {
        let now = self.shared.clock.now();
        self.tables().unbind(prefix, now);
        self.remove_unused_tables();
    }

    /// Drops the tables that no limit uses and that owe nothing. Must not be called during a decision. Holds the
    /// lock for a short time only.
    fn remove_unused_tables(&self) {
        let now = self.shared.clock.now();
        let examine = || self.tables().examine(now);
        while let Some(examined) = examine() {
            examined.iter().for_each(|table| table.record_keys());
        }
    }

    /// Removes unused keys from any table, after `max_keys` was reached and the sweep of the caller's
    /// shard found none. Checks a bounded number of keys. Returns whether a key was removed.
    fn make_room(&self) -> bool {
        let tables: Vec<_> = self
            .tables()
            .all()
            .map(|(_, table)| Arc::clone(table))
            .collect();
        // Start with a different table each time: a large first table would use up every budget.
        let first = self.shared.next_table.fetch_add(1, Ordering::Relaxed) % tables.len().max(1);
        let mut budget = STEP_WHEN_FULL;
        let mut freed = false;
        for table in tables[first..].iter().chain(&tables[..first]) {
            freed |= table.sweep(&mut budget);
            table.record_keys();
            if freed || budget == 0 {
                break;
            }
        }
        freed
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        lock_std(&self.shared.tables)
    }
}

/// The table of a prefix. It stays while this lives; without one, it stays while its keys owe anything.
#[derive(Debug)]
pub(crate) struct BoundTable {
    handler: MemoryHandler,
    prefix: Arc<str>,
    table: Arc<Table>,
}

impl BoundTable {
    pub(crate) fn handler(&self) -> &MemoryHandler {
        &self.handler
    }

    pub(crate) fn prefix(&self) -> &Arc<str> {
        &self.prefix
    }

    /// Carries out a request with this prefix.
    #[inline]
    pub(crate) fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        match request.key.subject() {
            None => self.table.handle_direct(request),
            Some(key) => self.handle_keyed(key, request),
        }
    }

    fn handle_keyed(&self, key: &str, request: &Request<'_>) -> Result<Decision, Error> {
        let handled = match self.table.handle_keyed(key, request) {
            Err(Error::TooManyKeys { .. }) if self.make_room() => {
                self.table.handle_keyed(key, request)
            }
            result => result,
        };
        // A refund changes no keys, and its caller may hold a lock.
        let gives_back = matches!(
            request.operation,
            Operation::Peek(_) | Operation::Refund(_) | Operation::Release(..)
        );
        if !gives_back {
            self.table.record_keys();
        }
        handled
    }

    /// Removes unused keys, to make room for a new key. Returns whether a key was removed.
    fn make_room(&self) -> bool {
        match self.table.keys().is_full() {
            true => self.table.sweep(&mut { STEP_WHEN_FULL }),
            false => self.handler.make_room(),
        }
    }

    /// Registers the metrics of the keys. No lock may be held.
    pub(crate) fn register_metrics(&self) {
        self.table.keys().register_metrics(&self.prefix);
    }

    /// The number of keys, and its upper limit.
    #[cfg(feature = "dashboard")]
    pub(crate) fn keys(&self) -> (usize, usize) {
        let keys = self.table.keys();
        (keys.get(), keys.max())
    }
}

impl Deref for BoundTable {
    type Target = Arc<Table>;

    fn deref(&self) -> &Arc<Table> {
        &self.table
    }
}

impl Drop for BoundTable {
    fn drop(&mut self) {
        self.handler.unbind(&self.prefix);
    }
}

/// Returns `handler` as a memory handler if it is one. Limits on memory decide without virtual calls.
pub(crate) fn as_memory(handler: &dyn Handler) -> Option<&MemoryHandler> {
    let any: &dyn Any = handler;
    any.downcast_ref()
}

impl Handler for MemoryHandler {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.bind(request.key.prefix(), request.plans)
            .handle(request)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        let tables: Vec<_> = self
            .tables()
            .all()
            .filter(|(prefix, _)| {
                prefix
                    .strip_prefix(keyspace)
                    .is_some_and(|rest| rest.starts_with(':'))
            })
            .map(|(_, table)| Arc::clone(table))
            .collect();
        for table in tables {
            table.clear();
            table.record_keys();
        }
        Ok(())
    }
}

/// Builds a [`MemoryHandler`].
///
/// Defaults: [`SystemClock`](crate::clock::SystemClock), at most 4,194,304 keys, of which one limit has at most
/// 1,048,576.
///
/// ```
/// use premier::MemoryHandler;
/// use premier::clock::ManualClock;
///
/// let clock = ManualClock::new();
/// let handler = MemoryHandler::builder().clock(clock.clone()).max_keys(1_000).build();
/// # let _ = handler;
/// ```
#[derive(Debug, Default)]
pub struct MemoryHandlerBuilder {
    shared: Shared,
    keys: KeyCount,
}

impl MemoryHandlerBuilder {
    /// Sets the clock by which limits decide and callers sleep. Default:
    /// [`SystemClock`](crate::clock::SystemClock).
    ///
    /// ```
    /// use premier::MemoryHandler;
    /// use premier::clock::ManualClock;
    ///
    /// let handler = MemoryHandler::builder().clock(ManualClock::new()).build();
    /// # let _ = handler;
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = SteadyClock::new(clock);
        self
    }

    /// Sets the maximum number of keys of all limits in use at one time. Default: 4,194,304.
    ///
    /// At the maximum, a call with a new key fails with [`Error::TooManyKeys`]. Removing a key in use
    /// instead would let its caller exceed the limit.
    ///
    /// ```
    /// use premier::MemoryHandler;
    ///
    /// let handler = MemoryHandler::builder().max_keys(1_000_000).build();
    /// # let _ = handler;
    /// ```
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.keys.max = keys;
        self
    }

    /// Sets the maximum number of keys of one limit in use at one time. Default: a quarter of
    /// [`max_keys`](Self::max_keys), or 1,048,576 if that is more.
    ///
    /// Clients choose keys. Clients that send a new key with each request fill the memory of one limit, and other
    /// limits still have room.
    ///
    /// ```
    /// use premier::MemoryHandler;
    ///
    /// let handler = MemoryHandler::builder().max_keys_per_limit(100_000).build();
    /// # let _ = handler;
    /// ```
    #[must_use]
    pub fn max_keys_per_limit(mut self, keys: usize) -> Self {
        self.keys.max_per_limit = Some(keys);
        self
    }

    /// Builds the handler.
    ///
    /// ```
    /// let handler = premier::MemoryHandler::builder().build();
    /// assert_eq!(handler.keys(), 0);
    /// ```
    #[must_use]
    pub fn build(self) -> MemoryHandler {
        MemoryHandler {
            shared: Arc::new(Shared {
                keys: Arc::new(self.keys),
                ..self.shared
            }),
        }
    }
}
