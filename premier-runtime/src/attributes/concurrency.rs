//! `#[concurrency]` limits how many calls run at the same time (a bulkhead), so that one slow
//! dependency does not occupy every thread and connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call_site::CallSite;
use super::into_arg::{LengthOfTime, WholeNumber, positive};
use super::site::{Instance, Policy, Site};
use super::spec::Spec;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::wait_queue::{WaitQueue, Waiter};

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
        self.set(Ok(MaxWait::Unbounded), |args, wait| args.max_wait = wait)
    }

    /// `wait = …`: how long to wait for a permit.
    #[must_use]
    pub fn wait_at_most(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.max_wait = MaxWait::AtMost(longest);
        })
    }
}

/// The permits of one function.
#[derive(Debug)]
pub struct Bulkhead {
    function: Arc<str>,
    args: ConcurrencyArgs,
    running: Mutex<u64>,
    queue: WaitQueue,
    clock: &'static SteadyClock,
}

impl Policy for Bulkhead {
    const ATTRIBUTE: &'static str = "concurrency";
    type Args = ConcurrencyArgs;

    fn bind(call_site: &CallSite, args: ConcurrencyArgs) -> Result<Self, Error> {
        Ok(Self {
            function: call_site.path().into(),
            args,
            running: Mutex::new(0),
            queue: WaitQueue::default(),
            clock: Runtime::global().clock(),
        })
    }
}

/// What a call gets when it enters.
enum Entry {
    Permitted(Permit),
    /// The call has to wait until the deadline.
    Queued(Waiter<&'static WaitQueue>, u64),
}

impl Bulkhead {
    fn running(&self) -> MutexGuard<'_, u64> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_acquire(&'static self) -> Option<Permit> {
        let mut running = self.running();
        (*running < self.args.limit).then(|| {
            *running += 1;
            Permit(self)
        })
    }

    /// Returns a permit if one is free and no other call waits, or joins the queue.
    fn enter(&'static self) -> Result<Entry, Error> {
        if self.queue.is_empty()
            && let Some(permit) = self.try_acquire()
        {
            return Ok(Entry::Permitted(permit));
        }
        let deadline = match self.args.max_wait {
            MaxWait::None => return Err(self.rejection()),
            MaxWait::AtMost(longest) => after(self.clock.now(), longest),
            MaxWait::Unbounded => u64::MAX,
        };
        Ok(Entry::Queued(Waiter::join(&self.queue, 1, 0), deadline))
    }

    fn rejection(&self) -> Error {
        Error::ConcurrencyExceeded {
            function: Arc::clone(&self.function),
            limit: self.args.limit,
        }
    }
}

impl ConcurrencySite {
    /// Waits for a permit, blocking the thread.
    ///
    /// # Errors
    /// [`Error::ConcurrencyExceeded`] if no permit is free in time; [`Error::Config`] if an argument
    /// is invalid.
    pub fn enter(&'static self, instance: Instance<ConcurrencyArgs>) -> Result<Permit, Error> {
        let bulkhead = self.bound(instance)?;
        match bulkhead.enter()? {
            Entry::Permitted(permit) => Ok(permit),
            Entry::Queued(waiter, deadline) => waiter
                .turn(bulkhead.clock, deadline, || bulkhead.try_acquire())
                .ok_or_else(|| bulkhead.rejection()),
        }
    }

    /// Waits for a permit without blocking the thread.
    ///
    /// # Errors
    /// As [`ConcurrencySite::enter`].
    pub async fn enter_async(
        &'static self,
        instance: Instance<ConcurrencyArgs>,
    ) -> Result<Permit, Error> {
        let bulkhead = self.bound(instance)?;
        match bulkhead.enter()? {
            Entry::Permitted(permit) => Ok(permit),
            Entry::Queued(waiter, deadline) => waiter
                .turn_async(bulkhead.clock, deadline, || bulkhead.try_acquire())
                .await
                .ok_or_else(|| bulkhead.rejection()),
        }
    }
}

/// The right of one call to run, until it is dropped.
#[derive(Debug)]
#[must_use = "the permit is released when it is dropped"]
pub struct Permit(&'static Bulkhead);

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.running() -= 1;
        self.0.queue.wake_head();
    }
}
