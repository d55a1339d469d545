//! The attempts of one call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::RetryEvent;
use super::args::RetryArgs;
use crate::attributes::call_site::CallSite;
use crate::attributes::site::{Instance, Policy, Site};
use crate::clock::{SteadyClock, after};
use crate::config::retry_budget::RetryBudget;
use crate::config::runtime::{Runtime, has_retry_budget};
use crate::error::Error;
use crate::telemetry::{self, Counted};

/// The static of one `#[retry]`.
pub type RetrySite = Site<RetryPolicy>;

/// The retries of one function.
#[derive(Debug)]
pub struct RetryPolicy {
    function: Arc<str>,
    args: RetryArgs,
    budget: Option<&'static RetryBudget>,
}

impl Policy for RetryPolicy {
    const ATTRIBUTE: &'static str = "retry";
    type Args = RetryArgs;

    fn bind(call_site: &CallSite, args: RetryArgs) -> Result<Self, Error> {
        Ok(Self {
            function: call_site.path().into(),
            args,
            budget: Runtime::global().retry_budget(),
        })
    }

    fn on_bound(&'static self) {
        Counted::Retries.register(&self.function);
    }
}

impl RetrySite {
    /// Begins a call whose arguments may be invalid.
    ///
    /// # Errors
    /// [`Error::Config`] if an argument is invalid.
    #[inline]
    pub fn begin(&'static self, instance: Instance<RetryArgs>) -> Result<Attempts, Error> {
        self.bound(instance)?;
        Ok(self.begin_timed(instance))
    }

    /// Begins a call whose arguments were checked at compile time.
    #[inline]
    pub fn begin_timed(&'static self, instance: Instance<RetryArgs>) -> Attempts {
        let mut attempts = self.begin_checked(instance);
        attempts.start_timer();
        attempts
    }

    /// Begins a call whose arguments were checked at compile time and do not limit the time. The
    /// policy is first needed when an attempt fails, so a call that succeeds does not read it.
    #[inline]
    pub fn begin_checked(&'static self, instance: Instance<RetryArgs>) -> Attempts {
        if has_retry_budget() {
            deposit();
        }
        Attempts {
            site: self,
            instance,
            failed: 0,
            last_delay: Duration::ZERO,
            started_at: None,
        }
    }
}

fn deposit() {
    if let Some(budget) = Runtime::global().retry_budget() {
        budget.deposit();
    }
}

/// The attempts of one call.
pub struct Attempts {
    site: &'static RetrySite,
    instance: Instance<RetryArgs>,
    /// How many attempts have failed.
    failed: u32,
    /// The delay before the current attempt, without `retry_after`. Decorrelated jitter multiplies
    /// it.
    last_delay: Duration,
    /// When the first attempt began, if `max_elapsed` is set.
    started_at: Option<u64>,
}

impl Attempts {
    fn policy(&self) -> Option<&'static RetryPolicy> {
        self.site.bound(self.instance).ok()
    }

    fn start_timer(&mut self) {
        let max_elapsed = self.policy().and_then(|policy| policy.args.max_elapsed);
        self.started_at = max_elapsed.map(|_| clock().now());
    }

    /// Returns how long to wait after a failed attempt, or `None` if there is no further attempt.
    ///
    /// A premier error that caused the failure may say when a retry can succeed. The retry waits as
    /// long, but no longer than `max_delay`: otherwise there is none. An open circuit is retried only if
    /// the attribute says so.
    #[cold]
    pub fn next_delay(
        &mut self,
        cause: Option<&Error>,
        retries_open_circuit: bool,
    ) -> Option<Duration> {
        if !retries_open_circuit && matches!(cause, Some(Error::CircuitOpen { .. })) {
            return None;
        }
        let retry_after = cause.and_then(Error::retry_after).unwrap_or_default();
        let RetryPolicy {
            function,
            args,
            budget,
        } = self.policy()?;
        self.failed += 1;
        if self.failed >= args.max {
            return None;
        }
        let jitter = args.jitter.unwrap_or(args.backoff.strategy.jitter());
        let random = &mut fastrand::Rng::new();
        self.last_delay = args
            .backoff
            .delay(self.failed - 1, jitter, self.last_delay, random);
        if retry_after > args.backoff.max_delay {
            return None;
        }
        let delay = self.last_delay.max(retry_after);
        if let (Some(longest), Some(started_at)) = (args.max_elapsed, self.started_at)
            && after(clock().now(), delay) > after(started_at, longest)
        {
            return None;
        }
        if budget.is_some_and(|budget| !budget.withdraw()) {
            return None;
        }
        telemetry::retried(function, self.failed, delay);
        Some(delay)
    }

    /// Returns the argument of `on_retry`.
    #[must_use]
    pub fn event<'a, E>(&'a self, delay: Duration, error: &'a E) -> RetryEvent<'a, E> {
        RetryEvent {
            function: self.policy().map_or("", |policy| &policy.function),
            attempt: self.failed,
            delay,
            error,
        }
    }

    /// Waits, blocking the thread.
    pub fn sleep(&self, delay: Duration) {
        let clock = clock();
        let until = after(clock.now(), delay);
        while clock.now() < until {
            clock.park_until(until);
        }
    }

    /// Waits without blocking the thread.
    pub async fn sleep_async(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let clock = clock();
        clock.sleep_until(after(clock.now(), delay)).await;
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attempts")
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn clock() -> &'static SteadyClock {
    Runtime::global().clock()
}
