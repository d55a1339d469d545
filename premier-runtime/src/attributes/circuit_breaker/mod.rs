//! `#[circuit_breaker]` rejects calls for a while when the function keeps failing.
//!
//! - Closed: calls go through. When the share of those that fail or are slow reaches its threshold among
//!   enough calls, or when enough have failed, the breaker opens.
//! - Open: calls are rejected. After a time the breaker is half open.
//! - Half open: a few calls go through as probes, and their outcomes decide whether the breaker opens again or
//!   closes.
//!
//! Source: Nygard, "Release It!".

mod args;
mod circuit;
mod circuits;
#[cfg(all(test, premier_loom))]
mod every_interleaving;
mod rules;
mod window;

use std::sync::Arc;
use std::thread;

use self::args::BreakerArgs;
pub use self::args::BreakerSpec;
use self::circuit::{Circuit, Entry, Outcome};
use self::circuits::{Circuits, KeyedCircuit};
use self::rules::Rules;
use super::call_site::CallSite;
use super::site::{Instance, Policy, Site};
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::subject::IntoSubject;
use crate::sync;
use crate::telemetry::{self, BreakerState};

/// The static of one `#[circuit_breaker]`.
pub type BreakerSite = Site<Breaker>;

/// The circuit breaker of one function.
#[derive(Debug)]
pub struct Breaker {
    function: Arc<str>,
    rules: Rules,
    clock: &'static SteadyClock,
    log_keys: bool,
    /// The circuit of a function without keys.
    only: Circuit,
    /// Those of a function with keys.
    by_key: Circuits,
}

impl Policy for Breaker {
    const ATTRIBUTE: &'static str = "circuit_breaker";
    type Args = BreakerArgs;

    fn bind(call_site: &CallSite, args: BreakerArgs) -> Result<Self, Error> {
        let runtime = Runtime::global();
        Ok(Self {
            function: call_site.path().into(),
            rules: args.rules()?,
            clock: runtime.clock(),
            log_keys: runtime.log_keys(),
            only: Circuit::default(),
            by_key: Circuits::default(),
        })
    }
}

impl Breaker {
    /// The instant at which a call begins, if it has to be known: a caller may drop the call, or slow calls count.
    #[inline]
    fn started(&self, may_be_dropped: bool) -> Option<u64> {
        let is_timed = may_be_dropped || self.rules.slow_rate.is_some();
        is_timed.then(|| self.clock.now())
    }

    // Inlined into expansions: otherwise each call writes the guard to memory twice and reads it with other widths,
    // which costs as much as the rest of the call.
    #[inline(always)]
    fn enter<K: IntoSubject>(
        &'static self,
        key: K,
        may_be_dropped: bool,
    ) -> Result<CallGuard, Error> {
        let started = self.started(may_be_dropped);
        if K::IS_KEYED {
            return key.with_text(|key| self.enter_by_key(key.unwrap_or_default(), started));
        }
        match self.only.try_enter(started) {
            Some(entry) => Ok(CallGuard::new(self, None, entry)),
            None => self.enter_locked(None, started),
        }
    }

    fn enter_by_key(&'static self, key: &str, started: Option<u64>) -> Result<CallGuard, Error> {
        let now = || started.unwrap_or_else(|| self.clock.now());
        let Some(keyed) = self.by_key.circuit(key, &self.rules, now) else {
            // There are too many keys: the call is let through and not counted.
            return Ok(CallGuard::uncounted(self));
        };
        match keyed.circuit.try_enter(started) {
            Some(entry) => Ok(CallGuard::new(self, Some(keyed), entry)),
            None => self.enter_locked(Some(keyed), started),
        }
    }

    #[cold]
    fn enter_locked(
        &'static self,
        keyed: Option<sync::Arc<KeyedCircuit>>,
        started: Option<u64>,
    ) -> Result<CallGuard, Error> {
        let now = started.unwrap_or_else(|| self.clock.now());
        let circuit = keyed.as_ref().map_or(&self.only, |keyed| &keyed.circuit);
        match circuit.enter(&self.rules, now) {
            Ok((entry, change)) => {
                let guard = CallGuard::new(self, keyed, entry);
                guard.report(change);
                Ok(guard)
            }
            Err(retry_after) => Err(Error::CircuitOpen {
                function: Arc::clone(&self.function),
                key: keyed.map(|keyed| keyed.key.clone()),
                retry_after,
            }),
        }
    }
}

impl BreakerSite {
    /// Lets a call of a function that blocks through, or rejects it.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] if the circuit is open; [`Error::Config`] if an argument is invalid.
    #[inline(always)]
    pub fn enter(
        &'static self,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<CallGuard, Error> {
        let breaker = self.bound(instance)?;
        breaker.enter(key, false)
    }

    /// Lets a call through that its caller may drop while it runs, or rejects it.
    ///
    /// # Errors
    /// As for [`BreakerSite::enter`].
    #[inline(always)]
    pub fn enter_async(
        &'static self,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<CallGuard, Error> {
        let breaker = self.bound(instance)?;
        breaker.enter(key, true)
    }
}

/// A call that was let through. A call that panics has failed, and so has one that is dropped after it has run
/// for as long as a slow call does.
#[derive(Debug)]
pub struct CallGuard {
    breaker: &'static Breaker,
    /// The circuit of the call's key.
    keyed: Option<sync::Arc<KeyedCircuit>>,
    entry: Entry,
    /// `None` if the call is not counted, or no longer.
    outcome: Option<Outcome>,
}

impl CallGuard {
    #[inline]
    const fn new(
        breaker: &'static Breaker,
        keyed: Option<sync::Arc<KeyedCircuit>>,
        entry: Entry,
    ) -> Self {
        Self {
            breaker,
            keyed,
            entry,
            outcome: Some(Outcome::Dropped),
        }
    }

    fn uncounted(breaker: &'static Breaker) -> Self {
        Self {
            breaker,
            keyed: None,
            entry: Entry::default(),
            outcome: None,
        }
    }

    #[inline]
    fn circuit(&self) -> &Circuit {
        match &self.keyed {
            None => &self.breaker.only,
            Some(keyed) => &keyed.circuit,
        }
    }

    /// Records the outcome of the call.
    #[inline(always)]
    pub fn finish(mut self, failed: bool) {
        if self.outcome.is_none() {
            return;
        }
        let Breaker { rules, clock, .. } = self.breaker;
        if failed {
            self.outcome = Some(Outcome::Failed);
        } else if self
            .circuit()
            .try_succeed(self.entry, rules, || clock.now())
        {
            self.outcome = None;
        } else {
            self.outcome = Some(Outcome::Succeeded);
        }
    }

    /// Ends a call whose outcome tells nothing about the function.
    pub fn ignore(mut self) {
        self.outcome = self.outcome.map(|_| Outcome::Ignored);
    }

    #[cold]
    fn record(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Dropped if thread::panicking() => Outcome::Failed,
            outcome => outcome,
        };
        let Breaker { rules, clock, .. } = self.breaker;
        let now = clock.now();
        self.report(self.circuit().record(self.entry, outcome, rules, now));
    }

    /// Reports a change of the circuit. No lock is held, so subscribers and recorders may call the function.
    fn report(&self, change: Option<BreakerState>) {
        if let Some(state) = change {
            let key = self.keyed.as_ref().map(|keyed| &*keyed.key);
            telemetry::breaker(&self.breaker.function, key, self.breaker.log_keys, state);
        }
    }
}

impl Drop for CallGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.record(outcome);
        }
    }
}
