//! `#[throttle]` limits the rate of calls.

mod admission;
mod args;
mod settlement;
mod together;

use std::sync::Arc;
use std::time::Duration;

use self::admission::Undecided;
pub use self::admission::{Admission, SyncAdmission};
use self::args::ThrottleArgs;
pub use self::args::ThrottleSpec;
pub use self::settlement::Settlement;
pub use self::together::{
    ThrottlePart, enter_all, enter_all_async, enter_all_to_settle, enter_all_to_settle_async,
};
use super::call_site::CallSite;
use super::into_arg::Cost;
use super::site::{Instance, Policy, Site};
use crate::algorithms::Admission as FastAdmission;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::subject::{IntoSubject, NoKey, Subject, with_text};
use crate::limit::decision::Decision;
use crate::limiter::acquire::{first_decision, spin};
use crate::limiter::call::Call;
use crate::limiter::known_plans::plans;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::limiter::settling::Settling;
use crate::limiter::wait::First;
use crate::telemetry::Outcome;

/// The static of one `#[throttle]`.
pub type ThrottleSite = Site<ThrottlePolicy>;

/// The limit of one function.
#[derive(Debug)]
pub struct ThrottlePolicy {
    limiter: Arc<Limiter>,
    max_wait: MaxWait,
    settling: Settling,
}

impl Policy for ThrottlePolicy {
    const ATTRIBUTE: &'static str = "throttle";
    type Args = ThrottleArgs;

    fn bind(call_site: &CallSite, args: ThrottleArgs) -> Result<Self, Error> {
        let runtime = Runtime::global();
        let limits = args.limit.limits(args.algo.unwrap_or(runtime.algo()));
        Ok(Self {
            limiter: {
                let name: Arc<str> = call_site.path().into();
                let plans = plans(&name, &limits)?;
                overrides::bind(runtime, name, plans)?
            },
            max_wait: args.max_wait,
            settling: args.settling,
        })
    }
}

/// The result of the fast path.
enum Entry {
    Admitted,
    /// An equal call is admitted after this time.
    Denied(Duration),
    /// The slow path decides. With a decision, the call has reserved a slot and has to wait for it.
    Undecided(Option<Box<Decision>>),
}

impl ThrottleSite {
    /// Admits or denies a call of a sync function without a key. Blocks the thread if the call waits.
    ///
    /// # Errors
    /// The call is denied, or an argument is invalid.
    // Not inlined: calls of one shared function were measured to be faster.
    #[inline(never)]
    pub fn enter(
        &'static self,
        instance: Instance<ThrottleArgs>,
        _: NoKey,
        cost: impl Cost,
    ) -> Result<(), Error> {
        let cost = cost.units()?;
        self.bound(instance)?.enter(cost)
    }

    /// Admits or denies a call of a sync function with a key; `None` if the call is admitted at once. A call that
    /// has to wait does so in the returned value, after the expression of the key has released its borrows and
    /// locks.
    #[inline]
    pub fn enter_by_key<K: IntoSubject>(
        &'static self,
        instance: Instance<ThrottleArgs>,
        key: K,
        cost: impl Cost,
    ) -> Option<SyncAdmission> {
        let bound = self
            .bound(instance)
            .and_then(|policy| Ok((policy, cost.units()?)));
        match bound {
            Ok((policy, cost)) => policy.enter_by_key(key, cost),
            Err(error) => Some(SyncAdmission::denied(error)),
        }
    }

    /// Admits or denies a call of an async function. In memory the decision is made here, before
    /// the first poll; `None` if the call is admitted at once.
    #[inline]
    pub fn enter_async<K: IntoSubject>(
        &'static self,
        instance: Instance<ThrottleArgs>,
        key: K,
        cost: impl Cost,
    ) -> Option<Admission> {
        let bound = self
            .bound(instance)
            .and_then(|policy| Ok((policy, cost.units()?)));
        match bound {
            Ok((policy, cost)) => policy.enter_async(key, cost),
            Err(error) => Some(Admission::denied(error)),
        }
    }
}

impl ThrottlePolicy {
    /// Admits or denies a call of a sync function without a key.
    #[inline(always)]
    fn enter(&'static self, cost: u64) -> Result<(), Error> {
        match self.try_enter(None, cost) {
            Entry::Admitted => Ok(()),
            Entry::Denied(retry_after) => Err(self.denied(None, retry_after)),
            Entry::Undecided(reserved) => self.enter_slowly(cost, reserved),
        }
    }

    /// The slow path of a sync function without a key.
    #[cold]
    fn enter_slowly(
        &'static self,
        cost: u64,
        reserved: Option<Box<Decision>>,
    ) -> Result<(), Error> {
        match self.decide_slowly(None, cost, reserved)? {
            None => Ok(()),
            Some(call) => call.wait(),
        }
    }

    /// Admits or denies a call of a sync function with a key.
    // Compiled for each type of key.
    fn enter_by_key<K: IntoSubject>(&'static self, key: K, cost: u64) -> Option<SyncAdmission> {
        key.with_subject(|key| match self.try_enter(key, cost) {
            Entry::Admitted => None,
            Entry::Denied(retry_after) => {
                Some(SyncAdmission::denied(self.denied(key, retry_after)))
            }
            Entry::Undecided(reserved) => match self.decide_slowly(key, cost, reserved) {
                Ok(call) => call.map(SyncAdmission::undecided),
                Err(error) => Some(SyncAdmission::denied(error)),
            },
        })
    }

    /// Admits or denies a call of an async function.
    fn enter_async<K: IntoSubject>(&'static self, key: K, cost: u64) -> Option<Admission> {
        key.with_subject(|key| match self.try_enter(key, cost) {
            Entry::Admitted => None,
            Entry::Denied(retry_after) => Some(Admission::denied(self.denied(key, retry_after))),
            Entry::Undecided(reserved) => match self.decide_slowly(key, cost, reserved) {
                Ok(call) => call.map(|call| Admission::waiting(call.wait_async())),
                Err(error) => Some(Admission::denied(error)),
            },
        })
    }

    /// The fast path.
    #[inline(always)]
    fn try_enter(&self, key: Option<&Subject<'_>>, cost: u64) -> Entry {
        let Self {
            limiter, max_wait, ..
        } = self;
        match limiter.try_take(key, cost, *max_wait) {
            Some(FastAdmission::Admitted) => {
                limiter.record(key, Outcome::Admitted);
                Entry::Admitted
            }
            Some(FastAdmission::Denied(retry_after)) if !max_wait.may_wait() => {
                limiter.record(key, Outcome::Denied);
                Entry::Denied(Duration::from_nanos(retry_after))
            }
            Some(FastAdmission::Delayed(decision)) => Entry::Undecided(Some(decision)),
            Some(FastAdmission::Denied(_)) | None => Entry::Undecided(None),
        }
    }

    /// The error of a denied call.
    #[inline]
    fn denied(&self, key: Option<&Subject<'_>>, retry_after: Duration) -> Error {
        with_text(key, |key| self.limiter.denied(key, retry_after))
    }

    /// Whether the wait for a reserved slot was so short that it was spent spinning.
    fn spin(&self, key: Option<&Subject<'_>>, reserved: Option<&Decision>) -> bool {
        let has_waited =
            reserved.is_some_and(|decision| spin(&self.limiter, decision, self.max_wait));
        if has_waited {
            self.limiter.record(key, Outcome::Admitted);
        }
        has_waited
    }

    /// The slow path: decides without waiting. `None` if the call is admitted.
    #[cold]
    fn decide_slowly(
        &'static self,
        key: Option<&Subject<'_>>,
        cost: u64,
        reserved: Option<Box<Decision>>,
    ) -> Result<Option<Undecided>, Error> {
        if self.spin(key, reserved.as_deref()) {
            return Ok(None);
        }
        let Self {
            limiter, max_wait, ..
        } = self;
        with_text(key, |text| {
            let first = match reserved {
                Some(decision) => Some(First::of_slot(*decision, None)),
                None => {
                    let call = Call {
                        limiter,
                        key: text,
                        cost,
                        max_wait: *max_wait,
                    };
                    first_decision(call)
                        .inspect_err(|error| limiter.record(key, Outcome::of(Err(error))))?
                }
            };
            // A decision that is not final is recorded after the wait.
            if let Some(first) = first.as_ref().filter(|first| first.is_final()) {
                limiter.collect(first.decision());
                limiter.record(key, Outcome::Admitted);
                return Ok(None);
            }
            let first = first.map(Box::new);
            Ok(Some(Undecided {
                key: text.map(str::to_owned),
                cost,
                first,
                limiter,
                max_wait: *max_wait,
            }))
        })
    }
}

/// Calls a closure once. The closure may return a borrow of what it captured, which a closure that
/// is called where it is written may not.
pub fn once<R>(body: impl FnOnce() -> R) -> R {
    body()
}
