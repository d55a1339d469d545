//! Calling again what failed.

mod retry_after;
mod strategy;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use self::retry_after::{
    NoRetryAfter, RetryAfter, RetryAfterInBox, RetryAfterInError, RetryAfterInLocalBox,
    RetryAfterInSendBox, RetryAfterItself,
};
pub use self::strategy::Strategy;
use self::strategy::{Backoff, Jitter};
use crate::attributes::call_site::{CallSite, blame};
use crate::attributes::into_arg::{IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::clock::{SteadyClock, after};
use crate::config::retry_budget::RetryBudget;
use crate::config::runtime::{Runtime, has_retry_budget};
use crate::error::Error;
use crate::telemetry;

/// What `on_retry` is told: a call has failed and will be made again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a, E> {
    /// The function.
    pub function: &'a str,
    /// Which attempt has failed; the first is 1.
    pub attempt: u32,
    /// How long until the next one.
    pub delay: Duration,
    /// What it failed with.
    pub error: &'a E,
}

/// What one `#[retry]` says, as values.
#[derive(Debug)]
pub struct RetrySpec {
    call_site: CallSite,
    backoff: Backoff,
    max: u32,
    max_elapsed: Option<Duration>,
    jitter: Option<Jitter>,
    problem: Option<Error>,
}

impl RetrySpec {
    /// The defaults: three attempts, exponential from 1 s by 2 up to 60 s, with full jitter.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            backoff: Backoff::default(),
            max: 3,
            max_elapsed: None,
            jitter: None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `strategy = "…"`
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.backoff.strategy = strategy;
        self
    }

    /// `strategy = [1, 2, 4]`
    #[must_use]
    pub fn delays<const N: usize>(mut self, delays: [Result<Duration, Error>; N]) -> Self {
        let delays: Result<Vec<Duration>, Error> = delays.into_iter().collect();
        if let Some(delays) = note(&mut self.problem, delays) {
            self.backoff.strategy = Strategy::Delays(delays.into());
        }
        self
    }

    /// `strategy = function`
    #[must_use]
    pub fn function(mut self, function: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        self.backoff.strategy = Strategy::Function(Box::new(function));
        self
    }

    /// `max = …`
    #[must_use]
    pub fn max(mut self, attempts: impl IntoUnits) -> Self {
        let attempts = attempts.into_units("max").and_then(|max| {
            u32::try_from(max)
                .ok()
                .filter(|max| *max > 0)
                .ok_or_else(|| {
                    Error::config(format!(
                        "max must be from 1 to 4,294,967,295, not {max}: it counts the first attempt"
                    ))
                })
        });
        if let Some(max) = note(&mut self.problem, attempts) {
            self.max = max;
        }
        self
    }

    /// `base = …`
    #[must_use]
    pub fn base(mut self, base: impl IntoPeriod) -> Self {
        if let Some(base) = note(&mut self.problem, base.into_period()) {
            self.backoff.base = base;
        }
        self
    }

    /// `factor = …`
    #[must_use]
    pub fn factor(mut self, factor: impl Into<f64>) -> Self {
        let factor = factor.into();
        let checked = if factor >= 1.0 && factor.is_finite() {
            Ok(factor)
        } else {
            Err(Error::config(format!(
                "factor must be a number of at least 1, not {factor}: delays do not shrink"
            )))
        };
        if let Some(factor) = note(&mut self.problem, checked) {
            self.backoff.factor = factor;
        }
        self
    }

    /// `max_delay = …`
    #[must_use]
    pub fn max_delay(mut self, longest: impl IntoPeriod) -> Self {
        if let Some(longest) = note(&mut self.problem, longest.into_period()) {
            self.backoff.max_delay = longest;
        }
        self
    }

    /// `max_elapsed = …`
    #[must_use]
    pub fn max_elapsed(mut self, longest: impl IntoPeriod) -> Self {
        self.max_elapsed = note(&mut self.problem, longest.into_period());
        self
    }

    /// `jitter = …`
    #[must_use]
    pub fn jitter(mut self, jitter: impl AsRef<str>) -> Self {
        self.jitter = note(&mut self.problem, jitter.as_ref().parse());
        self
    }

    fn policy(self) -> Result<Policy, Error> {
        let function = self.call_site.path();
        if let Some(problem) = self.problem {
            return Err(blame("retry", &function, problem));
        }
        Ok(Policy {
            function: function.into(),
            jitter: self.jitter.unwrap_or(self.backoff.strategy.jitter()),
            backoff: self.backoff,
            max: self.max,
            max_elapsed: self.max_elapsed,
            budget: Runtime::global().retry_budget(),
        })
    }
}

#[derive(Debug)]
struct Policy {
    function: Arc<str>,
    backoff: Backoff,
    jitter: Jitter,
    max: u32,
    max_elapsed: Option<Duration>,
    budget: Option<&'static RetryBudget>,
}

/// The static of one `#[retry]`.
#[derive(Debug, Default)]
pub struct RetrySite {
    policy: OnceLock<Result<Policy, Error>>,
}

impl RetrySite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            policy: OnceLock::new(),
        }
    }

    /// Begins to count the attempts of one call.
    ///
    /// # Errors
    /// [`Error::Config`] for a bad value.
    #[inline]
    pub fn begin(&'static self, spec: fn() -> RetrySpec) -> Result<Attempts, Error> {
        self.policy(spec)?;
        Ok(self.begin_timed(spec))
    }

    /// The same where all values were checked when compiling.
    #[inline]
    pub fn begin_timed(&'static self, spec: fn() -> RetrySpec) -> Attempts {
        let mut attempts = self.begin_checked(spec);
        attempts.begin_timing();
        attempts
    }

    /// The same where time does not matter. What the attribute says is not looked at before an
    /// attempt has failed.
    #[inline]
    pub fn begin_checked(&'static self, spec: fn() -> RetrySpec) -> Attempts {
        if has_retry_budget() {
            deposit();
        }
        Attempts {
            site: self,
            spec,
            made: 0,
            last: Duration::ZERO,
            began: None,
        }
    }

    #[inline]
    fn policy(&'static self, spec: fn() -> RetrySpec) -> Result<&'static Policy, Error> {
        match self.policy.get() {
            Some(Ok(policy)) => Ok(policy),
            _ => self.bind(spec),
        }
    }

    #[cold]
    #[inline(never)]
    fn bind(&'static self, spec: fn() -> RetrySpec) -> Result<&'static Policy, Error> {
        self.policy
            .get_or_init(|| spec().policy())
            .as_ref()
            .map_err(Error::clone)
    }
}

#[inline(never)]
fn deposit() {
    if let Some(budget) = Runtime::global().retry_budget() {
        budget.deposit();
    }
}

/// The attempts of one call.
pub struct Attempts {
    site: &'static RetrySite,
    spec: fn() -> RetrySpec,
    made: u32,
    /// The delay before this one, which decorrelated jitter builds on.
    last: Duration,
    /// By the clock, where there is a limit to how long it may take.
    began: Option<u64>,
}

impl Attempts {
    #[inline(never)]
    fn begin_timing(&mut self) {
        if self
            .policy()
            .is_some_and(|policy| policy.max_elapsed.is_some())
        {
            self.began = Some(clock().now());
        }
    }

    fn policy(&self) -> Option<&'static Policy> {
        self.site.policy(self.spec).ok()
    }

    /// After a failed attempt: how long until the next, or `None` when that was the last. A
    /// `retry_after` that the error tells of is waited for.
    #[cold]
    #[inline(never)]
    pub fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let policy = self.policy()?;
        self.made += 1;
        if self.made >= policy.max {
            return None;
        }
        let own = policy.backoff.delay(
            self.made - 1,
            policy.jitter,
            self.last,
            &mut fastrand::Rng::new(),
        );
        self.last = own;
        let delay = own.max(retry_after.unwrap_or_default());
        if let (Some(longest), Some(began)) = (policy.max_elapsed, self.began)
            && after(clock().now(), delay) > after(began, longest)
        {
            return None;
        }
        if policy.budget.is_some_and(|budget| !budget.withdraw()) {
            return None;
        }
        telemetry::retried(&policy.function, self.made, delay);
        Some(delay)
    }

    /// What `on_retry` is told.
    #[must_use]
    pub fn event<'a, E>(&'a self, delay: Duration, error: &'a E) -> RetryEvent<'a, E> {
        RetryEvent {
            function: self.policy().map_or("", |policy| &policy.function),
            attempt: self.made,
            delay,
            error,
        }
    }

    /// Waits on the thread.
    #[cold]
    #[inline(never)]
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
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

fn clock() -> &'static SteadyClock {
    Runtime::global().clock()
}

/// Errors that can tell of a value that is no good, found at the first call.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot tell of a bad value in #[retry]",
    label = "does not implement `From<premier::Error>`",
    note = "values that are written out are checked when compiling; others are only known at the first call, and a bad one is then a `premier::Error`",
    note = "either write the values out, or implement `From<premier::Error>` for `{Self}`"
)]
pub trait FromBadValue: Sized {
    /// The user's error for premier's.
    fn from_bad_value(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FromBadValue for E {
    fn from_bad_value(error: Error) -> Self {
        error.into()
    }
}

/// Arguments that can be given to one attempt and be there for the next.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot be used for more than one attempt",
    label = "does not implement `Clone`",
    note = "#[retry] clones arguments that are passed by value, for each attempt: derive `Clone` for `{Self}`, pass a reference, or pass it in an `Arc`"
)]
pub trait ForAttempt: Sized {
    /// One for the next attempt.
    #[must_use]
    fn for_attempt(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> ForAttempt for T {
    fn for_attempt(&self) -> Self {
        self.clone()
    }
}

/// The argument for one attempt.
pub fn for_attempt<T: ForAttempt>(argument: &T) -> T {
    argument.for_attempt()
}
