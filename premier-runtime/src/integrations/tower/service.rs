//! The service that a layer makes, and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::body::ThrottleBody;
use super::config::Shared;
use super::key::Head;
use super::reply::{RateLimitStatus, add_older, is_grpc, rejection_of};
use crate::algorithms::{Admission, Plan};
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::{Decision, Reservation};
use crate::limiter::acquire::acquire_unrecorded_async;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::store::request::BoxFuture;
use crate::telemetry::Outcome;

/// A service behind a [`ThrottleLayer`](super::ThrottleLayer).
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
        let (request, asked) = if shared.needs_parts {
            let (parts, body) = request.into_parts();
            let config = &shared.config;
            let asked = if config.skip.as_ref().is_some_and(|skip| skip(&parts)) {
                Asked::Pass(None)
            } else {
                let cost = config.cost.as_ref().map_or(1, |cost| cost(&parts));
                shared.ask(&Head::from(&parts), cost)
            };
            (Request::from_parts(parts, body), asked)
        } else {
            let asked = shared.ask(&Head::from(&request), 1);
            (request, asked)
        };
        let stage = match asked {
            Asked::Pass(taken) => Stage::Called {
                future: self.inner.call(request),
                taken: taken.map(|taken| (Arc::clone(shared), taken)),
            },
            Asked::Reject(rejected) => Stage::Rejected {
                rejected: Some((Arc::clone(shared), is_grpc(request.headers()), rejected)),
            },
            Asked::Wait(decision) => {
                let shared = Arc::clone(shared);
                // The service that was found ready is the one to be called.
                let other = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, other);
                Stage::Asking {
                    decision,
                    call: Some((shared, ready, request)),
                }
            }
        };
        ResponseFuture { stage }
    }
}

/// What was taken for a request that was passed on.
#[derive(Debug)]
struct Taken {
    status: RateLimitStatus,
    /// What can be given back, where anything may be.
    charge: Option<Box<Charge>>,
}

#[derive(Debug)]
struct Charge {
    key: Option<String>,
    cost: u64,
    reservation: Reservation,
}

/// A request that is not passed on.
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

/// Whether a request is passed on, and what was taken for it if the reply depends on that.
type Judged = Result<Option<Taken>, Box<Rejected>>;

enum Asked {
    Pass(Option<Taken>),
    Reject(Box<Rejected>),
    Wait(BoxFuture<'static, Judged>),
}

impl From<Judged> for Asked {
    fn from(judged: Judged) -> Self {
        match judged {
            Ok(taken) => Self::Pass(taken),
            Err(rejected) => Self::Reject(rejected),
        }
    }
}

impl Shared {
    fn ask(self: &Arc<Self>, head: &Head<'_>, cost: u64) -> Asked {
        let limiter = match self.config.throttle.limiter() {
            Ok(limiter) => limiter,
            Err(error) => return Asked::Reject(error.into()),
        };
        match &self.config.key {
            None => self.ask_about(limiter, None, cost),
            Some(key) => key.with_text(head, |key| self.ask_about(limiter, Some(key), cost)),
        }
    }

    fn ask_about(self: &Arc<Self>, limiter: &Arc<Limiter>, key: Option<&str>, cost: u64) -> Asked {
        if !(self.never_waits && limiter.is_immediate()) {
            let (limiter, shared) = (Arc::clone(limiter), Arc::clone(self));
            let key = key.map(str::to_owned);
            return Asked::Wait(Box::pin(async move {
                let key = key.as_deref();
                let decided = if shared.never_waits {
                    limiter.take_async(key, cost).await
                } else {
                    let max_wait = shared.config.throttle.max_wait();
                    acquire_unrecorded_async(&limiter, key, cost, max_wait, None).await
                };
                shared.judge(&limiter, key, cost, decided)
            }));
        }
        let subject = key.map(Subject::Text);
        // Where replies say nothing of the limit, all that counts is whether the request passes.
        if self.only_passes {
            match limiter.try_take(subject, cost, MaxWait::None) {
                Some(Admission::Admitted) => {
                    limiter.record(subject, Outcome::Admitted);
                    return Asked::Pass(None);
                }
                Some(Admission::Denied(retry_after)) => {
                    limiter.record(subject, Outcome::Denied);
                    return Asked::Reject(limiter.denied(None, retry_after).into());
                }
                Some(Admission::Delayed(_)) | None => {}
            }
        }
        let decided = limiter.take(subject, cost);
        self.judge(limiter, key, cost, decided).into()
    }

    /// Whether the request is passed on. Records the decision.
    fn judge(
        &self,
        limiter: &Limiter,
        key: Option<&str>,
        cost: u64,
        decided: Result<Decision, Error>,
    ) -> Judged {
        let config = &self.config;
        let outcome = match Outcome::of(decided.as_ref().map(|decision| decision.allowed)) {
            Outcome::Denied if config.shadow => Outcome::ShadowDenied,
            outcome => outcome,
        };
        limiter.record(key.map(Subject::Text), outcome);
        if config.shadow {
            return Ok(None);
        }
        let decision = decided?;
        let status = RateLimitStatus::from(&decision);
        if !decision.allowed {
            // Without the key, which no reply names.
            let error = limiter.denied(None, decision.retry_after);
            return Err(Box::new(Rejected {
                error,
                status: Some(status),
            }));
        }
        let charge = config.charge.as_ref().map(|_| {
            Box::new(Charge {
                key: key.map(str::to_owned),
                cost,
                reservation: decision.reservation,
            })
        });
        Ok((!self.only_passes).then_some(Taken { status, charge }))
    }

    fn reject<R>(&self, rejected: Rejected, is_grpc: bool) -> Response<ThrottleBody<R>> {
        let Rejected { error, status } = rejected;
        let plans = self.plans();
        let violated = match &status {
            Some(status) => self.policies.violated(&plans, status),
            None => self.policies.all(),
        };
        // A wait that would be too long is refused without a decision.
        let status = status.or_else(|| {
            Some(RateLimitStatus {
                limit: plans.first()?.capacity(),
                remaining: 0,
                after: error.retry_after()?,
            })
        });
        let rejection = rejection_of(error, violated);
        let response = match &self.config.reply {
            Some(reply) => reply(&rejection),
            None if is_grpc => rejection.to_grpc_response(),
            None => rejection.to_response(),
        };
        let mut response = response.map(ThrottleBody::own);
        rejection.add_retry_after(response.headers_mut());
        self.add_headers(response.headers_mut(), status.as_ref());
        response
    }

    fn answer<R>(&self, mut response: Response<R>, taken: Taken) -> Response<ThrottleBody<R>> {
        let Taken { mut status, charge } = taken;
        if let (Some(charge), Some(is_charged)) = (charge, &self.config.charge) {
            let (parts, body) = response.into_parts();
            if !is_charged(&parts) {
                let Charge {
                    key,
                    cost,
                    reservation,
                } = *charge;
                if let Some(limiter) = self.config.throttle.bound() {
                    limiter.release(key.as_deref(), reservation, cost);
                }
                status.remaining = status.remaining.saturating_add(cost).min(status.limit);
            }
            response = Response::from_parts(parts, body);
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
            self.policies.add_standard(headers, &self.plans(), status);
        }
        if let (true, Some(status)) = (config.older_headers, status) {
            add_older(headers, status);
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`ThrottleService`].
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
        Asking {
            decision: BoxFuture<'static, Judged>,
            call: Option<(Arc<Shared>, S, Request<B>)>,
        },
        Called {
            #[pin]
            future: S::Future,
            taken: Option<(Arc<Shared>, Taken)>,
        },
        Rejected { rejected: Option<(Arc<Shared>, bool, Box<Rejected>)> },
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ThrottleBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Asking { decision, call } => {
                    let judged = ready!(decision.as_mut().poll(context));
                    let (shared, mut inner, request) = call.take().expect("asked once");
                    let next = match judged {
                        Ok(taken) => Stage::Called {
                            future: inner.call(request),
                            taken: taken.map(|taken| (shared, taken)),
                        },
                        Err(rejected) => Stage::Rejected {
                            rejected: Some((shared, is_grpc(request.headers()), rejected)),
                        },
                    };
                    this.stage.set(next);
                }
                StageProjection::Called { future, taken } => {
                    let response = ready!(future.poll(context))?;
                    return Poll::Ready(Ok(match taken.take() {
                        Some((shared, taken)) => shared.answer(response, taken),
                        None => response.map(ThrottleBody::service),
                    }));
                }
                StageProjection::Rejected { rejected } => {
                    let (shared, is_grpc, rejected) =
                        rejected.take().expect("polled after it was done");
                    return Poll::Ready(Ok(shared.reject(*rejected, is_grpc)));
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
