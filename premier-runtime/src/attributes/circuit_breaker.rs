//! `#[circuit_breaker]` rejects calls for a while when the function keeps failing.
//!
//! - Closed: calls go through, and their failures are counted. Enough failures within a time open
//!   the breaker.
//! - Open: calls are rejected. After a time the breaker is half open.
//! - Half open: a few calls go through as probes. One failure opens the breaker again; when as many
//!   calls as there are probes have succeeded, it closes.
//!
//! Source: Nygard, "Release It!".

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::call_site::CallSite;
use super::into_arg::{LengthOfTime, WholeNumber, positive};
use super::site::{Instance, Policy, Site};
use super::spec::Spec;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::telemetry;
use crate::telemetry::BreakerState;

/// The static of one `#[circuit_breaker]`.
pub type BreakerSite = Site<Breaker>;

/// The arguments of one `#[circuit_breaker]`.
pub type BreakerSpec = Spec<BreakerConfig>;

/// The arguments of one `#[circuit_breaker]`.
#[derive(Debug)]
pub struct BreakerConfig {
    failures: u64,
    within: Duration,
    open_for: Duration,
    probes: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            within: Duration::from_secs(10),
            open_for: Duration::from_secs(30),
            probes: 1,
        }
    }
}

impl BreakerSpec {
    /// `failures = …`: how many failures open the breaker.
    #[must_use]
    pub fn failures(self, failures: impl WholeNumber) -> Self {
        self.set(positive("failures", failures), |config, failures| {
            config.failures = failures;
        })
    }

    /// `half_open = …`: how many calls go through as probes when the breaker is half open.
    #[must_use]
    pub fn half_open(self, probes: impl WholeNumber) -> Self {
        self.set(positive("half_open", probes), |config, probes| {
            config.probes = probes;
        })
    }

    /// `within = …`: how long a failure counts.
    #[must_use]
    pub fn within(self, within: impl LengthOfTime) -> Self {
        self.set(within.into_period(), |config, within| {
            config.within = within;
        })
    }

    /// `open_for = …`: how long the breaker stays open.
    #[must_use]
    pub fn open_for(self, open_for: impl LengthOfTime) -> Self {
        self.set(open_for.into_period(), |config, open_for| {
            config.open_for = open_for;
        })
    }
}

/// The circuit breaker of one function.
#[derive(Debug)]
pub struct Breaker {
    function: Arc<str>,
    config: BreakerConfig,
    clock: &'static SteadyClock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// How many times the state has changed. The outcome of a call counts only if the state is
    /// still the one in which the call began.
    generation: u64,
}

#[derive(Debug)]
enum State {
    /// The instants of the recent failures, oldest first.
    Closed(VecDeque<u64>),
    /// The instant at which the breaker becomes half open.
    Open(u64),
    HalfOpen {
        running: u64,
        succeeded: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Dropped,
    Failed,
    Succeeded,
}

impl Policy for Breaker {
    const ATTRIBUTE: &'static str = "circuit_breaker";
    type Args = BreakerConfig;

    fn bind(call_site: &CallSite, config: BreakerConfig) -> Result<Self, Error> {
        Ok(Self {
            function: call_site.path().into(),
            config,
            clock: Runtime::global().clock(),
            inner: Mutex::new(Inner {
                state: State::Closed(VecDeque::new()),
                generation: 0,
            }),
        })
    }
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, inner: &mut Inner, state: State) {
        let reported = match state {
            State::Closed(_) => BreakerState::Closed,
            State::Open(_) => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        inner.state = state;
        inner.generation += 1;
        telemetry::breaker(&self.function, reported);
    }

    fn open(&self, inner: &mut Inner, now: u64) {
        let until = after(now, self.config.open_for);
        self.change(inner, State::Open(until));
    }

    fn rejection(&self, retry_after: Duration) -> Error {
        Error::CircuitOpen {
            function: Arc::clone(&self.function),
            retry_after,
        }
    }

    fn enter(&'static self) -> Result<CallGuard, Error> {
        let mut inner = self.lock();
        match &mut inner.state {
            State::Closed(_) => {}
            State::Open(until) => {
                let now = self.clock.now();
                if now < *until {
                    return Err(self.rejection(Duration::from_nanos(*until - now)));
                }
                let state = State::HalfOpen {
                    running: 1,
                    succeeded: 0,
                };
                self.change(&mut inner, state);
            }
            State::HalfOpen { running, succeeded } => {
                if *running + *succeeded >= self.config.probes {
                    // When the running probes will end is unknown.
                    return Err(self.rejection(Duration::from_millis(1)));
                }
                *running += 1;
            }
        }
        Ok(CallGuard {
            breaker: self,
            generation: inner.generation,
            outcome: Outcome::Dropped,
        })
    }

    fn record(&self, generation: u64, outcome: Outcome) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        match (&mut inner.state, outcome) {
            (State::Open(_), _) | (State::Closed(_), Outcome::Succeeded | Outcome::Dropped) => {}
            (State::Closed(failures), Outcome::Failed) => {
                let now = self.clock.now();
                while failures
                    .front()
                    .is_some_and(|first| after(*first, self.config.within) <= now)
                {
                    failures.pop_front();
                }
                failures.push_back(now);
                if failures.len() as u64 >= self.config.failures {
                    self.open(&mut inner, now);
                }
            }
            (State::HalfOpen { .. }, Outcome::Failed) => self.open(&mut inner, self.clock.now()),
            (State::HalfOpen { running, .. }, Outcome::Dropped) => *running -= 1,
            (State::HalfOpen { running, succeeded }, Outcome::Succeeded) => {
                *running -= 1;
                *succeeded += 1;
                if *succeeded >= self.config.probes {
                    self.change(&mut inner, State::Closed(VecDeque::new()));
                }
            }
        }
    }
}

impl BreakerSite {
    /// Lets a call through, or rejects it.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] if the breaker is open; [`Error::Config`] if an argument is invalid.
    pub fn enter(&'static self, instance: Instance<BreakerConfig>) -> Result<CallGuard, Error> {
        self.bound(instance)?.enter()
    }
}

/// A call that was let through. A call that panics has failed; the outcome of a call that is
/// dropped does not count.
#[derive(Debug)]
pub struct CallGuard {
    breaker: &'static Breaker,
    /// The generation in which the call began.
    generation: u64,
    outcome: Outcome,
}

impl CallGuard {
    /// Records the outcome of the call.
    pub fn finish(mut self, failed: bool) {
        self.outcome = if failed {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            Outcome::Dropped if thread::panicking() => Outcome::Failed,
            outcome => outcome,
        };
        self.breaker.record(self.generation, outcome);
    }
}
