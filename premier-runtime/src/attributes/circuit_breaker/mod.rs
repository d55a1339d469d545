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
use std::time::Duration;

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

/// The circuit of a call.
#[derive(Debug)]
enum CircuitRef {
    Only,
    ByKey(sync::Arc<KeyedCircuit>),
    /// There are too many keys: the call is let through and not counted.
    Untracked,
}

impl Breaker {
    fn circuit_ref(&self, key: Option<&str>) -> CircuitRef {
        match key {
            None => CircuitRef::Only,
            Some(key) => {
                let circuit = self.by_key.circuit(key, &self.rules, || self.clock.now());
                circuit.map_or(CircuitRef::Untracked, CircuitRef::ByKey)
            }
        }
    }

    fn circuit<'a>(&'a self, of: &'a CircuitRef) -> Option<&'a Circuit> {
        match of {
            CircuitRef::Only => Some(&self.only),
            CircuitRef::ByKey(keyed) => Some(&keyed.circuit),
            CircuitRef::Untracked => None,
        }
    }

    /// Reports a change of a circuit. No lock is held, so subscribers and recorders may call the function.
    fn report(&self, of: &CircuitRef, change: Option<BreakerState>) {
        let Some(state) = change else {
            return;
        };
        let key = match of {
            CircuitRef::ByKey(keyed) => Some(&*keyed.key),
            CircuitRef::Only | CircuitRef::Untracked => None,
        };
        telemetry::breaker(&self.function, key, self.log_keys, state);
    }

    fn rejection(&self, key: Option<&str>, retry_after: Duration) -> Error {
        Error::CircuitOpen {
            function: Arc::clone(&self.function),
            key: key.map(Into::into),
            retry_after,
        }
    }

    #[inline]
    fn enter(&'static self, key: Option<&str>, may_be_dropped: bool) -> Result<CallGuard, Error> {
        let reference = self.circuit_ref(key);
        let is_timed = may_be_dropped || self.rules.slow_rate.is_some();
        let started = is_timed.then(|| self.clock.now());
        let entered = match self.circuit(&reference) {
            None => Ok((Entry::default(), None)),
            Some(circuit) => circuit.enter(started, &self.rules, || self.clock.now()),
        };
        match entered {
            Ok((entry, change)) => {
                self.report(&reference, change);
                Ok(CallGuard {
                    breaker: self,
                    circuit: reference,
                    entry,
                    outcome: Outcome::Dropped,
                })
            }
            Err(retry_after) => Err(self.rejection(key, retry_after)),
        }
    }
}

impl BreakerSite {
    /// Lets a call of a function that blocks through, or rejects it.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] if the circuit is open; [`Error::Config`] if an argument is invalid.
    #[inline]
    pub fn enter(
        &'static self,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<CallGuard, Error> {
        let breaker = self.bound(instance)?;
        key.with_text(|key| breaker.enter(key, false))
    }

    /// Lets a call through that its caller may drop while it runs, or rejects it.
    ///
    /// # Errors
    /// As for [`BreakerSite::enter`].
    #[inline]
    pub fn enter_async(
        &'static self,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<CallGuard, Error> {
        let breaker = self.bound(instance)?;
        key.with_text(|key| breaker.enter(key, true))
    }
}

/// A call that was let through. A call that panics has failed, and so has one that is dropped after it has run
/// for as long as a slow call does.
#[derive(Debug)]
pub struct CallGuard {
    breaker: &'static Breaker,
    circuit: CircuitRef,
    entry: Entry,
    outcome: Outcome,
}

impl CallGuard {
    /// Records the outcome of the call.
    #[inline]
    pub fn finish(mut self, failed: bool) {
        self.outcome = if failed {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
    }

    /// Ends a call whose outcome tells nothing about the function.
    pub fn ignore(mut self) {
        self.outcome = Outcome::Ignored;
    }
}

impl Drop for CallGuard {
    #[inline]
    fn drop(&mut self) {
        let Some(circuit) = self.breaker.circuit(&self.circuit) else {
            return;
        };
        let outcome = match self.outcome {
            Outcome::Dropped if thread::panicking() => Outcome::Failed,
            outcome => outcome,
        };
        let breaker = self.breaker;
        let change = circuit.record(self.entry, outcome, &breaker.rules, || breaker.clock.now());
        breaker.report(&self.circuit, change);
    }
}
