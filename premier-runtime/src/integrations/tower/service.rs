//! The service that a layer creates, and its response future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use tower_service::Service;

use super::body::ThrottleBody;
use super::charge::{self, Begun, OutcomeWait, Pending};
use super::config::Shared;
use super::grpc;
use super::key_text::Head;
use super::missing_key::{Lack, MissingKey, log_misconfigured};
use super::older_header::{X_RATELIMIT, add_three};
use super::partition::PartitionKey;
use super::rate_limit_header::{RateLimitStatus, delay_retry, status_numbers};
use super::reply::rejection_of;
use crate::algorithms::{Admission, Plan};
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::{Decision, Reservation};
use crate::limiter::acquire::acquire_unrecorded_async;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::store::request::{BoxFuture, Operation};
use crate::telemetry::{Counted, Outcome};

/// A service whose requests a [`ThrottleLayer`](super::ThrottleLayer) limits.
#[derive(Clone)]
pub struct ThrottleService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ThrottleService<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: fmt::Debug> fmt::Debug for ThrottleService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThrottleService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for ThrottleService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ThrottleBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        if !shared.needs_parts {
            let head = Head::from(&request);
            let dispatch = match shared.try_decide(&head) {
                Some(FastDecision::Admitted) => {
                    let future = self.inner.call(request);
                    let stage = Stage::Called {
                        future,
                        admitted: None,
                    };
                    return ResponseFuture { stage };
                }
                Some(FastDecision::Denied(error)) => Dispatch::Reject(error),
                None => shared.dispatch(&head, 1),
            };
            return self.proceed(request, dispatch);
        }
        let (parts, body) = request.into_parts();
        let config = &shared.config;
        let dispatch = if config.skip.as_ref().is_some_and(|skip| skip(&parts)) {
            Dispatch::Forward(None)
        } else {
            let cost = config.cost.as_ref().map_or(1, |cost| cost(&parts));
            shared.dispatch(&Head::from(&parts), cost)
        };
        self.proceed(Request::from_parts(parts, body), dispatch)
    }
}

impl<S> ThrottleService<S> {
    fn proceed<B>(&mut self, request: Request<B>, dispatch: Dispatch) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
    {
        let shared = &self.shared;
        let stage = match dispatch {
            Dispatch::Forward(admitted) => Stage::Called {
                future: self.inner.call(request),
                admitted: admitted.map(|admitted| (Arc::clone(shared), admitted)),
            },
            Dispatch::Reject(rejected) => {
                let grpc = grpc::response_type(&request);
                let rejected = Some((Arc::clone(shared), grpc, rejected));
                // `poll_ready` reserved capacity in `self.inner`. A clone has reserved none.
                self.inner = self.inner.clone();
                Stage::Rejected { rejected }
            }
            Dispatch::Wait(decision) => {
                let shared = Arc::clone(shared);
                // `poll_ready` reserved capacity in `self.inner`, so that very service must be
                // called, and a clone takes its place.
                let other = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, other);
                Stage::Waiting {
                    decision,
                    call: Some((shared, Box::new((ready, request)))),
                    is_ready: true,
                }
            }
        };
        ResponseFuture { stage }
    }
}

/// An admitted request: the values for its headers and what can be refunded.
#[derive(Debug)]
struct Admitted {
    status: RateLimitStatus,
    /// Set only with [`ThrottleLayer::charge_if`](super::ThrottleLayer::charge_if).
    charge: Option<Box<Charge>>,
}

/// The units taken for a request, to refund them if its response does not match.
#[derive(Debug)]
struct Charge {
    pending: Pending,
    cost: u64,
    reservation: Reservation,
}

/// A request that was not admitted.
#[derive(Debug)]
struct Rejected {
    error: Error,
    status: Option<RateLimitStatus>,
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
enum FastDecision {
    Admitted,
    Denied(Box<Rejected>),
}

/// The outcome of a decision. `Ok(None)` when the response does not depend on the decision.
type Verdict = Result<Option<Admitted>, Box<Rejected>>;

/// What to do with a request.
enum Dispatch {
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
    // Beside `dispatch`, whose result takes more instructions to be moved than this takes.
    fn try_decide(&self, head: &Head<'_>) -> Option<FastDecision> {
        if !self.takes_fast_path {
            return None;
        }
        let limiter = self.config.throttle.bound()?;
        match &self.config.key {
            None => Self::try_take(limiter, None, 1),
            Some(key) => key.with_text(head, |key, lack| match lack {
                None => Self::try_take(limiter, Some(&Subject::Text(key)), 1),
                Some(_) => None,
            }),
        }
    }

    /// Decides about a request on the fast path, which computes no numbers.
    #[inline]
    fn try_take(limiter: &Limiter, key: Option<&Subject<'_>>, cost: u64) -> Option<FastDecision> {
        match limiter.try_take(key, cost, MaxWait::NONE)? {
            Admission::Admitted => {
                limiter.record(key, Outcome::Admitted);
                Some(FastDecision::Admitted)
            }
            Admission::Denied(retry_after) => {
                limiter.record(key, Outcome::Denied);
                let error = limiter.denied(None, Duration::from_nanos(retry_after));
                Some(FastDecision::Denied(error.into()))
            }
            // Only a leaky bucket delays, and it waits elsewhere: no slot is taken twice.
            Admission::Delayed(_) => None,
        }
    }

    fn dispatch(self: &Arc<Self>, head: &Head<'_>, cost: u64) -> Dispatch {
        let limiter = match self.config.throttle.limiter() {
            Ok(limiter) => limiter,
            Err(_) if self.config.shadow => return Dispatch::Forward(None),
            Err(error) => return Dispatch::Reject(error.into()),
        };
        match &self.config.key {
            None => self.dispatch_key(limiter, None, cost),
            Some(key) => key.with_text(head, |key, lack| match (lack, self.config.missing_key) {
                (None, _) | (Some(_), MissingKey::Shared) => {
                    self.dispatch_key(limiter, Some(key), cost)
                }
                (Some(_), MissingKey::Skip) => Dispatch::Forward(None),
                (Some(lack), MissingKey::Deny) => self.dispatch_lacking(limiter, lack),
            }),
        }
    }

    /// Refuses a request that lacks what its key needs.
    #[cold]
    fn dispatch_lacking(&self, limiter: &Limiter, lack: Lack<'_>) -> Dispatch {
        let error = lack.error(limiter.name());
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
        // Other requests have tried it before they came here.
        if self.takes_fast_path && self.needs_parts {
            match Self::try_take(limiter, subject, cost) {
                Some(FastDecision::Admitted) => return Dispatch::Forward(None),
                Some(FastDecision::Denied(error)) => return Dispatch::Reject(error),
                None => {}
            }
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
        let max_wait = self.config.throttle.max_wait();
        acquire_unrecorded_async(limiter, key, cost, max_wait, None).await
    }

    /// As [`Shared::dispatch_key`], for a request that may be refunded. It waits for those that may be refunded
    /// before it is denied.
    fn dispatch_charged(
        self: &Arc<Self>,
        limiter: &Arc<Limiter>,
        key: Option<&str>,
        cost: u64,
    ) -> Dispatch {
        let pending = Pending::begin(&self.config.outcomes, key);
        let begun = if self.never_waits && limiter.is_immediate() {
            let decided = limiter.take(key.map(Subject::Text).as_ref(), cost);
            match charge::settled(pending, decided) {
                Begun::Decided(decided, pending) => {
                    return self.conclude(limiter, key, cost, decided, pending).into();
                }
                begun => begun,
            }
        } else {
            Begun::Pending(pending)
        };
        let (limiter, shared) = (Arc::clone(limiter), Arc::clone(self));
        let key = key.map(str::to_owned);
        Dispatch::Wait(Box::pin(async move {
            let key = key.as_deref();
            let config = &shared.config;
            let calls = config.throttle.max_wait().calls;
            let mut wait = OutcomeWait::new(&limiter, config.outcome_wait, calls);
            let mut begun = begun;
            loop {
                begun = match begun {
                    Begun::Pending(pending) => {
                        let decided = shared.decide_async(&limiter, key, cost).await;
                        charge::settled(pending, decided)
                    }
                    Begun::Denied(denied, waiter) => wait.after(waiter, denied).await,
                    Begun::Decided(decided, pending) => {
                        return shared
                            .concluded(&limiter, key, cost, decided, pending)
                            .await;
                    }
                };
            }
        }))
    }

    /// As [`Shared::conclude`], for a request that might have waited. One that would have to wait too long is
    /// rejected without a decision, which is made up for where it takes one to know the limit that denies.
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

    /// Builds the response to a rejected request, `grpc` being its content type if it is a gRPC call.
    fn reject<R>(
        &self,
        rejected: Rejected,
        grpc: Option<HeaderValue>,
    ) -> Response<ThrottleBody<R>> {
        let Rejected { error, status } = rejected;
        let violated = match &status {
            Some(status) => self.policies.violated(status),
            None => self.policies.all(),
        };
        // A request that would have to wait too long is rejected without a decision, so the headers
        // describe the first limit.
        let status = status.or_else(|| {
            let limit = self.plans().first()?.capacity();
            Some(RateLimitStatus::used_up(limit, error.retry_after()?))
        });
        let mut rejection = rejection_of(error, violated);
        rejection.delay_at_random(self.config.retry_jitter);
        let response = match (&self.config.reply, grpc) {
            (Some(reply), _) => {
                let mut response = reply(&rejection);
                rejection.add_common_headers(response.headers_mut());
                response
            }
            (None, Some(content_type)) => {
                let mut response = rejection.to_grpc_response();
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            (None, None) => rejection.to_response(),
        };
        let mut response = response.map(ThrottleBody::own);
        self.add_headers(response.headers_mut(), status.as_ref());
        response
    }

    fn finish<R>(
        &self,
        mut response: Response<R>,
        admitted: Admitted,
    ) -> Response<ThrottleBody<R>> {
        let Admitted { mut status, charge } = admitted;
        if let (Some(charge), Some(is_charged)) = (charge, &self.config.charge) {
            let (parts, body) = response.into_parts();
            if !is_charged(&parts) {
                let Charge {
                    pending,
                    cost,
                    reservation,
                } = *charge;
                if let Some(limiter) = self.config.throttle.bound() {
                    limiter.release(pending.key(), reservation, cost);
                }
                pending.given_back();
                status.remaining = status.remaining.saturating_add(cost).min(status.limit);
            }
            response = Response::from_parts(parts, body);
        }
        if !self.ignores_decision {
            delay_retry(response.headers_mut(), &status);
        }
        self.add_headers(response.headers_mut(), Some(&status));
        response.map(ThrottleBody::service)
    }

    fn plans(&self) -> Arc<[Plan]> {
        let limiter = self.config.throttle.bound();
        limiter.map_or_else(|| [].into(), |limiter| limiter.plans())
    }

    fn add_headers(&self, headers: &mut HeaderMap, status: Option<&RateLimitStatus>) {
        let config = &self.config;
        if config.standard_headers {
            match config.throttle.bound() {
                Some(limiter) => {
                    limiter.with_plans(|plans| self.policies.add(headers, plans, status));
                }
                None => self.policies.add(headers, &[].into(), status),
            }
        }
        if let (true, Some(status)) = (config.older_headers, status) {
            add_three(headers, &X_RATELIMIT, status_numbers(status));
        }
    }
}

pin_project_lite::pin_project! {
    /// The response future of a [`ThrottleService`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        stage: Stage<S, B>,
    }
}

pin_project_lite::pin_project! {
    #[project = StageProjection]
    enum Stage<S, B>
    where
        S: Service<Request<B>>,
    {
        Waiting {
            decision: BoxFuture<'static, Verdict>,
            // Boxed, so that the future of a request that does not wait is not as large as a request.
            call: Option<(Arc<Shared>, Box<(S, Request<B>)>)>,
            // Whether the service has reserved capacity for the call.
            is_ready: bool,
        },
        Admitted {
            // Admitted after a wait, and not yet called: the service has to become ready again.
            call: Option<Box<(S, Request<B>)>>,
            admitted: Option<(Arc<Shared>, Admitted)>,
        },
        Called {
            #[pin]
            future: S::Future,
            admitted: Option<(Arc<Shared>, Admitted)>,
        },
        Rejected { rejected: Option<(Arc<Shared>, Option<HeaderValue>, Box<Rejected>)> },
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Output = Result<Response<ThrottleBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Waiting {
                    decision,
                    call,
                    is_ready,
                } => {
                    let Poll::Ready(verdict) = decision.as_mut().poll(context) else {
                        // What waits must not keep capacity from requests that are admitted. A clone has
                        // reserved none.
                        if let (Some((_, call)), true) = (call, std::mem::take(is_ready)) {
                            let (inner, _) = &mut **call;
                            *inner = inner.clone();
                        }
                        return Poll::Pending;
                    };
                    let is_ready = *is_ready;
                    let (shared, call) = call.take().expect("polled after it was decided");
                    let next = match verdict {
                        Ok(admitted) => {
                            let admitted = admitted.map(|admitted| (shared, admitted));
                            match is_ready {
                                true => {
                                    let (mut inner, request) = *call;
                                    Stage::Called {
                                        future: inner.call(request),
                                        admitted,
                                    }
                                }
                                false => Stage::Admitted {
                                    call: Some(call),
                                    admitted,
                                },
                            }
                        }
                        Err(rejected) => {
                            let grpc = grpc::response_type(&call.1);
                            Stage::Rejected {
                                rejected: Some((shared, grpc, rejected)),
                            }
                        }
                    };
                    this.stage.set(next);
                }
                StageProjection::Admitted { call, admitted } => {
                    let (inner, _) = &mut **call.as_mut().expect("polled after it was called");
                    ready!(inner.poll_ready(context))?;
                    let (mut inner, request) = *call.take().expect("it was just polled");
                    let admitted = admitted.take();
                    let future = inner.call(request);
                    this.stage.set(Stage::Called { future, admitted });
                }
                StageProjection::Called { future, admitted } => {
                    let response = ready!(future.poll(context))?;
                    return Poll::Ready(Ok(match admitted.take() {
                        Some((shared, admitted)) => shared.finish(response, admitted),
                        None => response.map(ThrottleBody::service),
                    }));
                }
                StageProjection::Rejected { rejected } => {
                    let (shared, grpc, rejected) =
                        rejected.take().expect("polled after completion");
                    return Poll::Ready(Ok(shared.reject(*rejected, grpc)));
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseFuture")
            .finish_non_exhaustive()
    }
}
