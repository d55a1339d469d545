//! Stops calling what keeps failing, for a while.
//!
//! Closed: calls go through and failures are counted. So many failures within a time open the
//! breaker: calls are refused. After a further time it is half open: so many calls are let through
//! to try; one failure opens it again, as many successes as tries close it (Nygard, "Release It!").

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::attributes::call_site::{CallSite, blame};
use crate::attributes::into_arg::{IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::clock::{SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::telemetry;
use crate::telemetry::BreakerState;

/// What one `#[circuit_breaker]` says, as values.
#[derive(Debug)]
pub struct BreakerSpec {
    call_site: CallSite,
    terms: Terms,
    problem: Option<Error>,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    failures: u64,
    within: Duration,
    open_for: Duration,
    half_open: u64,
}

impl BreakerSpec {
    /// The defaults: 5 failures within 10 s open it for 30 s, then one call tries.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            terms: Terms {
                failures: 5,
                within: Duration::from_secs(10),
                open_for: Duration::from_secs(30),
                half_open: 1,
            },
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `failures = …`
    #[must_use]
    pub fn failures(mut self, failures: impl IntoUnits) -> Self {
        let failures = positive("failures", failures);
        if let Some(failures) = note(&mut self.problem, failures) {
            self.terms.failures = failures;
        }
        self
    }

    /// `half_open = …`
    #[must_use]
    pub fn half_open(mut self, tries: impl IntoUnits) -> Self {
        let tries = positive("half_open", tries);
        if let Some(tries) = note(&mut self.problem, tries) {
            self.terms.half_open = tries;
        }
        self
    }

    /// `within = …`
    #[must_use]
    pub fn within(mut self, within: impl IntoPeriod) -> Self {
        if let Some(within) = note(&mut self.problem, within.into_period()) {
            self.terms.within = within;
        }
        self
    }

    /// `open_for = …`
    #[must_use]
    pub fn open_for(mut self, open_for: impl IntoPeriod) -> Self {
        if let Some(open_for) = note(&mut self.problem, open_for.into_period()) {
            self.terms.open_for = open_for;
        }
        self
    }

    fn breaker(self) -> Result<Breaker, Error> {
        let function = self.call_site.path();
        match self.problem {
            None => Ok(Breaker {
                function: function.into(),
                terms: self.terms,
                state: Mutex::new(Guarded {
                    state: State::Closed(VecDeque::new()),
                    phase: 0,
                }),
            }),
            Some(problem) => Err(blame("circuit_breaker", &function, problem)),
        }
    }
}

fn positive(what: &str, number: impl IntoUnits) -> Result<u64, Error> {
    match number.into_units(what)? {
        0 => Err(Error::config(format!("{what} must be at least 1"))),
        number => Ok(number),
    }
}

#[derive(Debug)]
struct Breaker {
    function: Arc<str>,
    terms: Terms,
    state: Mutex<Guarded>,
}

#[derive(Debug)]
enum State {
    /// The instants of the last failures, oldest first.
    Closed(VecDeque<u64>),
    /// Until when.
    Open(u64),
    HalfOpen {
        trying: u64,
        succeeded: u64,
    },
}

#[derive(Debug)]
struct Guarded {
    state: State,
    /// How often the state has changed. A call ends in the phase that it began in, or has nothing
    /// to say: what it tells of is over.
    phase: u64,
}

impl Guarded {
    fn change(&mut self, state: State) {
        self.state = state;
        self.phase += 1;
    }
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, Guarded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, retry_after: Duration) -> Error {
        Error::CircuitOpen {
            function: Arc::clone(&self.function),
            retry_after,
        }
    }

    fn enter(&'static self, clock: &'static SteadyClock) -> Result<Trial, Error> {
        let mut guarded = self.state();
        match &mut guarded.state {
            State::Closed(_) => {}
            State::Open(until) => {
                let now = clock.now();
                if now < *until {
                    return Err(self.refusal(Duration::from_nanos(*until - now)));
                }
                guarded.change(State::HalfOpen {
                    trying: 1,
                    succeeded: 0,
                });
                telemetry::breaker(&self.function, BreakerState::HalfOpen);
            }
            State::HalfOpen { trying, succeeded } => {
                if *trying + *succeeded >= self.terms.half_open {
                    // When those that try will be done is not known.
                    return Err(self.refusal(Duration::from_millis(1)));
                }
                *trying += 1;
            }
        }
        Ok(Trial {
            breaker: self,
            clock,
            phase: guarded.phase,
            outcome: Outcome::Dropped,
        })
    }

    fn ended(&self, clock: &SteadyClock, phase: u64, outcome: Outcome) {
        let mut guarded = self.state();
        if guarded.phase != phase {
            return;
        }
        match (&mut guarded.state, outcome) {
            (State::Closed(_), Outcome::Succeeded | Outcome::Dropped) => {}
            (State::Closed(failures), Outcome::Failed) => {
                let now = clock.now();
                while failures
                    .front()
                    .is_some_and(|first| after(*first, self.terms.within) <= now)
                {
                    failures.pop_front();
                }
                failures.push_back(now);
                if failures.len() as u64 >= self.terms.failures {
                    guarded.change(State::Open(after(now, self.terms.open_for)));
                    telemetry::breaker(&self.function, BreakerState::Open);
                }
            }
            (State::HalfOpen { .. }, Outcome::Failed) => {
                guarded.change(State::Open(after(clock.now(), self.terms.open_for)));
                telemetry::breaker(&self.function, BreakerState::Open);
            }
            (State::HalfOpen { trying, .. }, Outcome::Dropped) => *trying -= 1,
            (State::HalfOpen { trying, succeeded }, Outcome::Succeeded) => {
                *trying -= 1;
                *succeeded += 1;
                if *succeeded >= self.terms.half_open {
                    guarded.change(State::Closed(VecDeque::new()));
                    telemetry::breaker(&self.function, BreakerState::Closed);
                }
            }
            (State::Open(_), _) => {}
        }
    }
}

/// The static of one `#[circuit_breaker]`.
#[derive(Debug, Default)]
pub struct BreakerSite {
    breaker: OnceLock<Result<Breaker, Error>>,
}

impl BreakerSite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            breaker: OnceLock::new(),
        }
    }

    /// Lets a call through, or refuses it.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`], and [`Error::Config`] for a bad value.
    pub fn enter(&'static self, spec: fn() -> BreakerSpec) -> Result<Trial, Error> {
        match self.breaker.get_or_init(|| spec().breaker()) {
            Ok(breaker) => breaker.enter(Runtime::global().clock()),
            Err(error) => Err(error.clone()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Dropped,
    Failed,
    Succeeded,
}

/// A call that was let through.
#[derive(Debug)]
pub struct Trial {
    breaker: &'static Breaker,
    clock: &'static SteadyClock,
    /// That it began in.
    phase: u64,
    outcome: Outcome,
}

impl Trial {
    /// Tells how it went. A call that panics has failed; one that is dropped says nothing.
    pub fn done(mut self, failed: bool) {
        self.outcome = if failed {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            Outcome::Dropped if thread::panicking() => Outcome::Failed,
            outcome => outcome,
        };
        self.breaker.ended(self.clock, self.phase, outcome);
    }
}
