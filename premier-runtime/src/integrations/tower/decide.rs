//! The decision about one request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::charge::{self, OutcomeWait, Pending, Progress};
use super::config::Shared;
use super::key_text::Head;
use super::missing_key::{MissingKey, MissingPart, log_misconfigured};
use super::partition::PartitionKey;
use super::rate_limit_header::RateLimitStatus;
use crate::algorithms::Admission;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::{Decision, Reservation};
use crate::limiter::acquire::acquire_unrecorded_async;
use crate::limiter::call::Call;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::store::request::{BoxFuture, Operation};
use crate::telemetry::{Counted, Outcome};

/// An admitted request: the values for its headers and what can be refunded.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) status: RateLimitStatus,
    /// Set only with [`ThrottleLayer::charge_if`](super::ThrottleLayer::charge_if).
    pub(super) charge: Option<Box<Charge>>,
}

/// The units taken for a request, to refund them if its response does not match.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) pending: Pending,
    pub(super) cost: u64,
    pub(super) reservation: Reservation,
}

/// A request that was not admitted.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) error: Error,
    pub(super) status: Option<RateLimitStatus>,
}

impl From<Error> for Box<Rejected> {
    fn from(error: Error) -> Self {
        Self::new(Rejected {
            error,
            status: None,
        })
    }
}

/// A decision of the fast path.
pub(super) type FastDecision = Result<(), Box<Rejected>>;

/// The outcome of a decision. `Ok(None)` when the response does not depend on the decision.
pub(super) type Verdict = Result<Option<Admitted>, Box<Rejected>>;

/// What to do with a request.
pub(super) enum Dispatch {
    Forward(Option<Admitted>),
    Reject(Box<Rejected>),
    Wait(BoxFuture<'static, Verdict>),
}

impl From<Verdict> for Dispatch {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(admitted) => Self::Forward(admitted),
            Err(rejected) => Self::Reject(rejected),
        }
    }
}

impl Shared {
    /// Decides about a request of cost 1 on the fast path; `None` if that cannot.
    // Apart from `dispatch`, because to move a `Dispatch` takes more instructions than this decision.
    pub(super) fn try_decide(&self, head: &Head<'_>) -> Option<FastDecision> {
        if !self.takes_fast_path {
            return None;
        }
        let limiter = self.config.throttle.bound()?;
        match &self.config.key {
            None => Self::try_take(limiter, None, 1),
            Some(key) => key.with_text(head, |key, missing| match missing {
                None => Self::try_take(limiter, Some(&Subject::Text(key)), 1),
                Some(_) => None,
            }),
        }
    }

    /// Decides about a request on the fast path, which does not compute the numbers of headers.
    #[inline]
    fn try_take(limiter: &Limiter, key: Option<&Subject<'_>>, cost: u64) -> Option<FastDecision> {
        match limiter.try_take(key, cost, MaxWait::NONE)? {
            Admission::Admitted => {
                limiter.record(key, Outcome::Admitted);
                Some(Ok(()))
            }
            Admission::Denied(retry_after) => {
                limiter.record(key, Outcome::Denied);
                let error = limiter.denied(None, Duration::from_nanos(retry_after));
                Some(Err(error.into()))
            }
            // Only a leaky bucket delays, and it waits elsewhere: no slot is taken twice.
            Admission::Delayed(_) => None,
        }
    }

    pub(super) fn dispatch(self: &Arc<Self>, head: &Head<'_>, cost: u64) -> Dispatch {
        let limiter = match self.config.throttle.limiter() {
            Ok(limiter) => limiter,
            Err(_) if self.config.shadow => return Dispatch::Forward(None),
            Err(error) => return Dispatch::Reject(error.into()),
        };
        match &self.config.key {
            None => self.dispatch_key(limiter, None, cost),
            Some(key) => key.with_text(head, |key, missing| {
                match (missing, self.config.missing_key) {
                    (None, _) | (Some(_), MissingKey::Shared) => {
                        self.dispatch_key(limiter, Some(key), cost)
                    }
                    (Some(_), MissingKey::Skip) => Dispatch::Forward(None),
                    (Some(missing), MissingKey::Deny) => {
                        self.dispatch_without_key(limiter, missing)
                    }
                }
            }),
        }
    }

    /// Refuses a request that lacks what its key needs.
    #[cold]
    fn dispatch_without_key(&self, limiter: &Limiter, missing: MissingPart<'_>) -> Dispatch {
        let error = missing.error(limiter.name());
        if matches!(error, Error::Config { .. }) && !self.has_warned.swap(true, Ordering::Relaxed) {
            log_misconfigured(limiter.name(), &error);
        }
        if self.config.shadow {
            return Dispatch::Forward(None);
        }
        Counted::NoKey.count(limiter.name());
        Dispatch::Reject(error.into())
    }

    fn dispatch_key(
        self: &Arc<Self>,
        limiter: &Arc<Limiter>,
        key: Option<&str>,
        cost: u64,
    ) -> Dispatch {
        if self.config.charge.is_some() && !self.config.shadow {
            return self.dispatch_charged(limiter, key, cost);
        }
        if !(self.never_waits && limiter.is_immediate()) {
            let (limiter, shared) = (Arc::clone(limiter), Arc::clone(self));
            let key = key.map(str::to_owned);
            return Dispatch::Wait(Box::pin(async move {
                let key = key.as_deref();
                let decided = shared.decide_async(&limiter, key, cost).await;
                shared.concluded(&limiter, key, cost, decided, None).await
            }));
        }
        let subject = key.map(Subject::Text);
        let subject = subject.as_ref();
        // Without parts, the request has tried the fast path in `try_decide`.
        if self.takes_fast_path
            && self.needs_parts
            && let Some(decided) = Self::try_take(limiter, subject, cost)
        {
            return decided.map(|()| None).into();
        }
        let decided = limiter.take(subject, cost);
        self.conclude(limiter, key, cost, decided, None).into()
    }

    /// Decides about a request that may have to wait.
    async fn decide_async(
        &self,
        limiter: &Limiter,
        key: Option<&str>,
        cost: u64,
    ) -> Result<Decision, Error> {
        if self.never_waits {
            return limiter.take_async(key, cost).await;
        }
        let call = Call {
            limiter,
            key,
            cost,
            max_wait: self.config.throttle.max_wait(),
        };
        acquire_unrecorded_async(call, None).await
    }

    /// Decides about a request that its response may refund. Before it is denied, it waits for the responses to
    /// other requests of its key, which may refund theirs.
    fn dispatch_charged(
        self: &Arc<Self>,
        limiter: &Arc<Limiter>,
        key: Option<&str>,
        cost: u64,
    ) -> Dispatch {
        let pending = Pending::begin(&self.config.outcomes, key);
        let progress = if self.never_waits && limiter.is_immediate() {
            let decided = limiter.take(key.map(Subject::Text).as_ref(), cost);
            match charge::settled(pending, decided) {
                Progress::Decided(decided, pending) => {
                    return self.conclude(limiter, key, cost, decided, pending).into();
                }
                progress => progress,
            }
        } else {
            Progress::Pending(pending)
        };
        let (limiter, shared) = (Arc::clone(limiter), Arc::clone(self));
        let key = key.map(str::to_owned);
        Dispatch::Wait(Box::pin(async move {
            let key = key.as_deref();
            let config = &shared.config;
            let calls = config.throttle.max_wait().calls;
            let mut wait = OutcomeWait::new(&limiter, config.outcome_wait, calls);
            let mut progress = progress;
            loop {
                progress = match progress {
                    Progress::Pending(pending) => {
                        let decided = shared.decide_async(&limiter, key, cost).await;
                        charge::settled(pending, decided)
                    }
                    Progress::Denied(denied, waiter) => wait.after(waiter, denied).await,
                    Progress::Decided(decided, pending) => {
                        return shared
                            .concluded(&limiter, key, cost, decided, pending)
                            .await;
                    }
                };
            }
        }))
    }

    /// Does what [`Shared::conclude`] does, for a request that might have waited. A request that would have to wait
    /// too long is rejected without a decision: with several limits, the store is asked which of them denies it.
    async fn concluded(
        &self,
        limiter: &Limiter,
        key: Option<&str>,
        cost: u64,
        decided: Result<Decision, Error>,
        pending: Option<Pending>,
    ) -> Verdict {
        let is_unexplained = charge::is_denied(&decided) && decided.is_err();
        let mut verdict = self.conclude(limiter, key, cost, decided, pending);
        if let Err(rejected) = &mut verdict
            && is_unexplained
            && self.policies.are_several()
            && let Ok(decision) = limiter.handle_async(key, Operation::Peek(cost)).await
            && !decision.allowed
        {
            let longest = rejected.error.retry_after().unwrap_or_default();
            rejected.status = Some(self.status(key, &decision).within(longest));
        }
        verdict
    }

    fn status(&self, key: Option<&str>, decision: &Decision) -> RateLimitStatus {
        let mut status = RateLimitStatus::from(decision);
        if self.config.partition_keys {
            status.partition = key.map(PartitionKey::of);
        }
        status
    }

    /// Records a decision and turns it into a verdict.
    fn conclude(
        &self,
        limiter: &Limiter,
        key: Option<&str>,
        cost: u64,
        decided: Result<Decision, Error>,
        pending: Option<Pending>,
    ) -> Verdict {
        let config = &self.config;
        let outcome = match Outcome::of(decided.as_ref().map(|decision| decision.allowed)) {
            Outcome::Denied if config.shadow => Outcome::ShadowDenied,
            outcome => outcome,
        };
        limiter.record(key.map(Subject::Text).as_ref(), outcome);
        if config.shadow {
            return Ok(None);
        }
        let decision = decided?;
        let status = self.status(key, &decision);
        if !decision.allowed {
            // The key is left out, because no response contains it.
            let error = limiter.denied(None, decision.retry_after);
            return Err(Box::new(Rejected {
                error,
                status: Some(status),
            }));
        }
        let charge = pending.map(|pending| {
            Box::new(Charge {
                pending,
                cost,
                reservation: decision.reservation,
            })
        });
        Ok((!self.ignores_decision).then_some(Admitted { status, charge }))
    }
}
