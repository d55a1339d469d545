//! `#[concurrency]` limits how many calls run at the same time (a bulkhead), so that one slow
//! dependency does not occupy every thread and connection.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call_site::CallSite;
use super::into_arg::{LengthOfTime, WholeNumber, positive};
#[cfg(feature = "dashboard")]
use super::registry::Registry;
use super::site::{Instance, Policy, Site};
use super::spec::Spec;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::subject::IntoSubject;
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::limiter::wait_queue::{QueueMap, QueueRef, WaitQueue, Waiter};
use crate::limiter::waiting::WaitingCount;
use crate::telemetry::PermitTelemetry;

/// The static of one `#[concurrency]`.
pub type ConcurrencySite = Site<Bulkhead>;

/// The arguments of one `#[concurrency]`.
pub type ConcurrencySpec = Spec<ConcurrencyArgs>;

/// The arguments of one `#[concurrency]`. Expansions always set the limit.
#[derive(Debug, Default)]
pub struct ConcurrencyArgs {
    limit: u64,
    max_wait: MaxWait,
}

impl ConcurrencySpec {
    /// `limit = …`: how many calls run at the same time.
    #[must_use]
    pub fn limit(self, limit: impl WholeNumber) -> Self {
        self.set(positive("limit", limit), |args, limit| args.limit = limit)
    }

    /// `wait`: wait for a permit without limit.
    #[must_use]
    pub fn wait(self) -> Self {
        self.set(Ok(WaitTime::Unbounded), |args, wait| {
            args.max_wait.time = wait;
        })
    }

    /// `wait = …`: how long to wait for a permit.
    #[must_use]
    pub fn wait_at_most(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.max_wait.time = WaitTime::AtMost(longest);
        })
    }

    /// `max_waiting = …`: how many calls may wait.
    #[must_use]
    pub fn max_waiting(self, calls: impl WholeNumber) -> Self {
        self.set(positive("max_waiting", calls), |args, calls| {
            args.max_wait.calls = Some(calls);
        })
    }
}

/// The permits of one function.
#[derive(Debug)]
pub struct Bulkhead {
    function: Arc<str>,
    telemetry: PermitTelemetry,
    args: ConcurrencyArgs,
    /// The permits of a function without keys.
    only: Permits,
    /// The permits of a function with keys, for each key of which a call runs or waits.
    by_key: QueueMap<(), Permits>,
    waiting: WaitingCount,
    clock: &'static SteadyClock,
}

impl Policy for Bulkhead {
    const ATTRIBUTE: &'static str = "concurrency";
    type Args = ConcurrencyArgs;

    fn bind(call_site: &CallSite, args: ConcurrencyArgs) -> Result<Self, Error> {
        let function = call_site.path().into();
        Ok(Self {
            telemetry: PermitTelemetry::new(&function),
            function,
            args,
            only: Permits::default(),
            by_key: QueueMap::default(),
            waiting: WaitingCount::default(),
            clock: Runtime::global().clock(),
        })
    }

    fn on_bound(&'static self) {
        #[cfg(feature = "dashboard")]
        BULKHEADS.add(self);
        self.telemetry.register(self.args.limit);
    }
}

#[cfg(feature = "dashboard")]
static BULKHEADS: Registry<Bulkhead> = Registry::new();

/// The permits of a function as they are now.
#[cfg(feature = "dashboard")]
#[derive(serde::Serialize)]
pub(crate) struct PermitStatus {
    pub(crate) function: &'static str,
    /// How many calls of each key may run.
    pub(crate) limit: u64,
    /// How many run, under all keys.
    pub(crate) in_use: u64,
    /// How many wait, under all keys.
    pub(crate) waiting: u64,
}

/// The permits of all functions that have been called.
#[cfg(feature = "dashboard")]
pub(crate) fn permits() -> Vec<PermitStatus> {
    let status = |bulkhead: &'static Bulkhead| PermitStatus {
        function: &bulkhead.function,
        limit: bulkhead.args.limit,
        in_use: bulkhead.telemetry.in_use(),
        waiting: bulkhead.waiting.get(),
    };
    BULKHEADS.all().into_iter().map(status).collect()
}

/// The calls of one key that run, and those that wait.
#[derive(Debug, Default)]
struct Permits {
    running: Mutex<u64>,
    queue: WaitQueue,
}

impl Permits {
    fn running(&self) -> MutexGuard<'_, u64> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permits of a call's key.
#[derive(Debug)]
enum PermitsRef {
    Only(&'static Permits),
    ByKey(QueueRef<'static, (), Permits>),
}

impl Deref for PermitsRef {
    type Target = Permits;

    fn deref(&self) -> &Permits {
        match self {
            Self::Only(permits) => permits,
            Self::ByKey(permits) => permits,
        }
    }
}

/// The queue of a call's key.
#[derive(Debug)]
struct PermitQueue(PermitsRef);

impl Deref for PermitQueue {
    type Target = WaitQueue;

    fn deref(&self) -> &WaitQueue {
        &self.0.queue
    }
}

impl Bulkhead {
    fn permits(&'static self, key: Option<&str>) -> PermitsRef {
        match key {
            Some(_) => PermitsRef::ByKey(self.by_key.enter((), key)),
            None => PermitsRef::Only(&self.only),
        }
    }

    fn try_acquire(&'static self, key: Option<&str>) -> Option<Permit> {
        let permits = self.permits(key);
        {
            let mut running = permits.running();
            if *running >= self.args.limit {
                return None;
            }
            *running += 1;
        }
        self.telemetry.holds(true);
        Some(Permit {
            permits,
            telemetry: &self.telemetry,
        })
    }

    /// Returns a permit if one is free and no other call waits, or joins the queue.
    fn enter(&'static self, key: Option<&str>) -> Result<Turn, Error> {
        let permits = self.permits(key);
        if permits.queue.is_empty()
            && let Some(permit) = self.try_acquire(key)
        {
            return Ok(Turn(Entry::Permitted(permit)));
        }
        let MaxWait { time, calls } = self.args.max_wait;
        let deadline = match time {
            WaitTime::None => return Err(self.rejection(key)),
            WaitTime::AtMost(longest) => after(self.clock.now(), longest),
            WaitTime::Unbounded => u64::MAX,
        };
        if !self.waiting.enter(calls) {
            self.telemetry.rejected();
            return Err(Error::TooManyWaiting {
                function: Arc::clone(&self.function),
                key: key.map(Into::into),
                max_waiting: calls.unwrap_or(u64::MAX),
            });
        }
        self.telemetry.waits(true);
        Ok(Turn(Entry::Queued(Queued {
            bulkhead: self,
            key: key.map(Into::into),
            waiter: Waiter::join(PermitQueue(permits), 1, 0),
            deadline,
        })))
    }

    fn rejection(&self, key: Option<&str>) -> Error {
        self.telemetry.rejected();
        Error::ConcurrencyExceeded {
            function: Arc::clone(&self.function),
            key: key.map(Into::into),
            limit: self.args.limit,
        }
    }
}

impl ConcurrencySite {
    /// Takes a permit, or a place in the queue for one.
    ///
    /// # Errors
    /// [`Error::ConcurrencyExceeded`] if no permit is free and the call does not wait; [`Error::Config`] if an
    /// argument is invalid.
    pub fn enter(
        &'static self,
        instance: Instance<ConcurrencyArgs>,
        key: impl IntoSubject,
    ) -> Result<Turn, Error> {
        let bulkhead = self.bound(instance)?;
        key.with_text(|key| bulkhead.enter(key))
    }
}

/// What a call gets when it enters.
#[derive(Debug)]
#[must_use = "it holds a permit, or a place in the queue"]
pub struct Turn(Entry);

#[derive(Debug)]
enum Entry {
    Permitted(Permit),
    Queued(Queued),
}

/// A call that waits for a permit until the deadline.
#[derive(Debug)]
struct Queued {
    bulkhead: &'static Bulkhead,
    key: Option<Box<str>>,
    waiter: Waiter<PermitQueue>,
    deadline: u64,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.bulkhead.waiting.leave();
        self.bulkhead.telemetry.waits(false);
    }
}

impl Turn {
    /// Waits for the permit, blocking the thread.
    ///
    /// # Errors
    /// [`Error::ConcurrencyExceeded`] if no permit is free in time.
    pub fn wait(self) -> Result<Permit, Error> {
        match self.0 {
            Entry::Permitted(permit) => Ok(permit),
            Entry::Queued(call) => {
                let (bulkhead, key) = (call.bulkhead, call.key.as_deref());
                call.waiter
                    .turn(bulkhead.clock, call.deadline, || bulkhead.try_acquire(key))
                    .ok_or_else(|| bulkhead.rejection(key))
            }
        }
    }

    /// Waits for the permit without blocking the thread.
    ///
    /// # Errors
    /// As [`Turn::wait`].
    pub async fn wait_async(self) -> Result<Permit, Error> {
        match self.0 {
            Entry::Permitted(permit) => Ok(permit),
            Entry::Queued(call) => {
                let (bulkhead, key) = (call.bulkhead, call.key.as_deref());
                call.waiter
                    .turn_async(bulkhead.clock, call.deadline, || bulkhead.try_acquire(key))
                    .await
                    .ok_or_else(|| bulkhead.rejection(key))
            }
        }
    }
}

/// The right of one call to run, until it is dropped.
#[derive(Debug)]
#[must_use = "the permit is released when it is dropped"]
pub struct Permit {
    permits: PermitsRef,
    telemetry: &'static PermitTelemetry,
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.permits.running() -= 1;
        self.permits.queue.wake_head();
        self.telemetry.holds(false);
    }
}
