//! `#[circuit_breaker]` rejects calls for a while when the function keeps failing.
//!
//! - Closed: calls go through, and their failures are counted. Enough failures within a time open
//!   the breaker.
//! - Open: calls are rejected. After a time the breaker is half open.
//! - Half open: a few calls go through as probes. One failure opens the breaker again; when as many
//!   calls as there are probes have succeeded, it closes.
//!
//! Source: Nygard, "Release It!".

mod args;
mod circuit;
mod circuits;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use self::args::BreakerConfig;
pub use self::args::BreakerSpec;
use self::circuit::{Circuit, Outcome};
use self::circuits::Circuits;
use super::call_site::CallSite;
use super::site::{Instance, Policy, Site};
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::subject::IntoSubject;
use crate::telemetry;

/// The static of one `#[circuit_breaker]`.
pub type BreakerSite = Site<Breaker>;

/// The circuit breaker of one function.
#[derive(Debug)]
pub struct Breaker {
    function: Arc<str>,
    config: BreakerConfig,
    clock: &'static SteadyClock,
    log_keys: bool,
    /// How often a circuit has changed its state.
    changes: AtomicU64,
    /// The circuit of a function without keys.
    only: Mutex<Circuit>,
    /// Those of a function with keys.
    by_key: Mutex<Circuits>,
}

impl Policy for Breaker {
    const ATTRIBUTE: &'static str = "circuit_breaker";
    type Args = BreakerConfig;

    fn bind(call_site: &CallSite, config: BreakerConfig) -> Result<Self, Error> {
        let runtime = Runtime::global();
        Ok(Self {
            function: call_site.path().into(),
            config,
            clock: runtime.clock(),
            log_keys: runtime.log_keys(),
            changes: AtomicU64::new(0),
            only: Mutex::default(),
            by_key: Mutex::default(),
        })
    }
}

impl Breaker {
    /// Calls `work` with the circuit of a key, under its lock, and afterwards reports a change of its state.
    /// The circuit of a key that has none is a new one; it is kept if it has anything to remember.
    fn with_circuit<R>(&self, key: Option<&str>, work: impl FnOnce(&mut Circuit) -> R) -> R {
        let (result, change) = match key {
            None => {
                let mut circuit = self.only.lock().unwrap_or_else(PoisonError::into_inner);
                (work(&mut circuit), circuit.take_change())
            }
            Some(key) => {
                let mut circuits = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
                circuits.with(
                    key,
                    &self.config,
                    || self.clock.now(),
                    |circuit| (work(circuit), circuit.take_change()),
                )
            }
        };
        if let Some(state) = change {
            telemetry::breaker(&self.function, key, self.log_keys, state);
        }
        result
    }

    fn rejection(&self, key: Option<&str>, retry_after: Duration) -> Error {
        Error::CircuitOpen {
            function: Arc::clone(&self.function),
            key: key.map(Into::into),
            retry_after,
        }
    }

    fn enter(&'static self, key: Option<&str>) -> Result<CallGuard, Error> {
        let entered = self.with_circuit(key, |circuit| {
            circuit.enter(self.config.probes, &self.changes, || self.clock.now())
        });
        match entered {
            Ok(generation) => Ok(CallGuard {
                breaker: self,
                key: key.map(KeyBuffer::format),
                generation,
                outcome: Outcome::Dropped,
            }),
            Err(retry_after) => Err(self.rejection(key, retry_after)),
        }
    }

    fn record(&self, key: Option<&str>, generation: u64, outcome: Outcome) {
        self.with_circuit(key, |circuit| {
            circuit.record(generation, outcome, &self.config, &self.changes, || {
                self.clock.now()
            });
        });
    }
}

impl BreakerSite {
    /// Lets a call through, or rejects it.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] if the circuit is open; [`Error::Config`] if an argument is invalid.
    pub fn enter(
        &'static self,
        instance: Instance<BreakerConfig>,
        key: impl IntoSubject,
    ) -> Result<CallGuard, Error> {
        let breaker = self.bound(instance)?;
        key.with_text(|key| breaker.enter(key))
    }
}

/// A call that was let through. A call that panics has failed; the outcome of a call that is
/// dropped does not count.
#[derive(Debug)]
pub struct CallGuard {
    breaker: &'static Breaker,
    key: Option<KeyBuffer>,
    /// The generation of the circuit in which the call began.
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
        let key = self.key.as_ref().map(KeyBuffer::as_str);
        self.breaker.record(key, self.generation, outcome);
    }
}
