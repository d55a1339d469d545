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
mod batched_window;
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
use self::circuit::{Change, Circuit, Entry, Outcome};
use self::circuits::{Circuits, KeyedCircuit};
use self::rules::Rules;
use super::call_site::CallSite;
#[cfg(feature = "dashboard")]
use super::registry::Registry;
use super::site::{Instance, Policy, Site};
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::subject::IntoSubject;
use crate::sync;
use crate::telemetry::{self, Counted};

/// The static of one `#[circuit_breaker]`.
pub type BreakerSite = Site<Breaker>;

/// The circuit breaker of one function.
#[derive(Debug)]
pub struct Breaker {
    function: Arc<str>,
    rules: Rules,
    clock: &'static SteadyClock,
    log_keys: bool,
    has_keys: bool,
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
            has_keys: args.has_keys(),
            rules: args.rules()?,
            clock: runtime.clock(),
            log_keys: runtime.log_keys(),
            only: Circuit::default(),
            by_key: Circuits::default(),
        })
    }

    fn on_bound(&'static self) {
        #[cfg(feature = "dashboard")]
        BREAKERS.add(self);
        telemetry::register_breaker(&self.function, self.has_keys);
    }
}

#[cfg(feature = "dashboard")]
static BREAKERS: Registry<Breaker> = Registry::new();

/// The functions that have been called with the states of their breakers; `None` for breakers with keys.
#[cfg(feature = "dashboard")]
pub(crate) fn breakers() -> Vec<(&'static str, Option<&'static str>)> {
    let status = |breaker: &'static Breaker| {
        let state = (!breaker.has_keys).then(|| breaker.only.state().as_str());
        (&*breaker.function, state)
    };
    BREAKERS.all().into_iter().map(status).collect()
}

impl Breaker {
    /// Returns the instant at which a call begins, if it is needed: the caller may drop the call, or slow calls count.
    #[inline]
    fn started(&self, may_be_dropped: bool) -> Option<u64> {
        let is_timed = may_be_dropped || self.rules.slow_rate.is_some();
        is_timed.then(|| self.clock.now())
    }

    // Inlined into expansions, and the guard is filled in place: a returned guard would be written to memory and
    // read again with other widths, which costs as much as the rest of the call.
    #[inline(always)]
    fn enter<K: IntoSubject>(
        &'static self,
        guard: &mut BreakerGuard,
        key: K,
        may_be_dropped: bool,
    ) -> Result<(), Error> {
        let started = self.started(may_be_dropped);
        if K::IS_KEYED {
            return key.with_text(|key| self.enter_by_key(guard, key.unwrap_or_default(), started));
        }
        match self.only.try_enter(started) {
            Some(entry) => {
                guard.begin(self, None, entry);
                Ok(())
            }
            None => self.enter_locked(guard, None, started),
        }
    }

    fn enter_by_key(
        &'static self,
        guard: &mut BreakerGuard,
        key: &str,
        started: Option<u64>,
    ) -> Result<(), Error> {
        let now = || started.unwrap_or_else(|| self.clock.now());
        let removed_open = || self.record_keys();
        let Some(keyed) = self.by_key.circuit(key, &self.rules, now, removed_open) else {
            // There are too many keys: the call is admitted and not counted.
            return Ok(());
        };
        match keyed.circuit.try_enter(started) {
            Some(entry) => {
                guard.begin(self, Some(keyed), entry);
                Ok(())
            }
            None => self.enter_locked(guard, Some((key, keyed)), started),
        }
    }

    #[cold]
    fn enter_locked(
        &'static self,
        guard: &mut BreakerGuard,
        keyed: Option<(&str, sync::Arc<KeyedCircuit>)>,
        started: Option<u64>,
    ) -> Result<(), Error> {
        let now = started.unwrap_or_else(|| self.clock.now());
        let (key, keyed) = keyed.unzip();
        let circuit = keyed.as_ref().map_or(&self.only, |keyed| &keyed.circuit);
        match circuit.enter(&self.rules, now) {
            Ok((entry, change)) => {
                guard.begin(self, keyed, entry);
                self.report(guard.keyed.as_deref(), change);
                Ok(())
            }
            Err(retry_after) => {
                Counted::OpenCircuit.count(&self.function);
                Err(Error::CircuitOpen {
                    function: Arc::clone(&self.function),
                    key: key.map(Into::into),
                    retry_after,
                })
            }
        }
    }

    /// Reports a change of a circuit. No lock is held, so subscribers and recorders may call the function.
    fn report(&self, keyed: Option<&KeyedCircuit>, change: Option<Change>) {
        let Some(change) = change else {
            return;
        };
        match keyed {
            Some(_) => {
                self.by_key.count(change);
                self.record_keys();
            }
            None => telemetry::breaker_state(&self.function, || self.only.state()),
        }
        let key = keyed.map(|keyed| &*keyed.key);
        telemetry::breaker_changed(&self.function, key, self.log_keys, change.to);
    }

    /// Records how many keys are in each state.
    fn record_keys(&self) {
        telemetry::breaker_keys(&self.function, || self.by_key.keys_by_state());
    }
}

impl BreakerSite {
    /// Admits or rejects a call of a sync function.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] if the circuit is open; [`Error::Config`] if an argument is invalid.
    #[inline(always)]
    pub fn enter(
        &'static self,
        guard: &mut BreakerGuard,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<(), Error> {
        let breaker = self.bound(instance)?;
        breaker.enter(guard, key, false)
    }

    /// Admits or rejects a call of an async function, whose caller may drop it while it runs.
    ///
    /// # Errors
    /// As for [`BreakerSite::enter`].
    #[inline(always)]
    pub fn enter_async(
        &'static self,
        guard: &mut BreakerGuard,
        instance: Instance<BreakerArgs>,
        key: impl IntoSubject,
    ) -> Result<(), Error> {
        let breaker = self.bound(instance)?;
        breaker.enter(guard, key, true)
    }
}

/// An admitted call. A call that panics has failed, and so has one that is dropped after it has run for as long
/// as a slow call does.
#[derive(Debug)]
pub struct BreakerGuard {
    /// The breaker that counts the outcome of the call; `None` if the outcome does not count or was counted.
    breaker: Option<&'static Breaker>,
    /// The circuit of the call's key.
    keyed: Option<sync::Arc<KeyedCircuit>>,
    entry: Entry,
}

impl BreakerGuard {
    /// The guard of a call that has not begun.
    #[inline]
    #[must_use]
    pub const fn idle() -> Self {
        Self {
            breaker: None,
            keyed: None,
            entry: Entry::NONE,
        }
    }

    #[inline]
    fn begin(
        &mut self,
        breaker: &'static Breaker,
        keyed: Option<sync::Arc<KeyedCircuit>>,
        entry: Entry,
    ) {
        self.breaker = Some(breaker);
        self.keyed = keyed;
        self.entry = entry;
    }

    /// Records the outcome of the call.
    #[inline(always)]
    pub fn finish(&mut self, failed: bool) {
        let Some(breaker) = self.breaker else {
            return;
        };
        let circuit = match &self.keyed {
            None => &breaker.only,
            Some(keyed) => &keyed.circuit,
        };
        let now = || breaker.clock.now();
        if !failed && circuit.try_succeed(&self.entry, &breaker.rules, now) {
            self.breaker = None;
        } else if failed {
            self.record(Outcome::Failed);
        } else {
            self.record(Outcome::Succeeded);
        }
    }

    /// Ends a call whose outcome says nothing about the health of the function.
    pub fn ignore(&mut self) {
        self.record(Outcome::Ignored);
    }

    #[cold]
    fn record(&mut self, outcome: Outcome) {
        let Some(breaker) = self.breaker.take() else {
            return;
        };
        let keyed = self.keyed.as_deref();
        let circuit = keyed.map_or(&breaker.only, |keyed| &keyed.circuit);
        let now = breaker.clock.now();
        let change = circuit.record(&self.entry, outcome, &breaker.rules, now);
        breaker.report(keyed, change);
    }
}

impl Drop for BreakerGuard {
    #[inline]
    fn drop(&mut self) {
        if self.breaker.is_some() {
            self.record(match thread::panicking() {
                true => Outcome::Failed,
                false => Outcome::Dropped,
            });
        }
    }
}
