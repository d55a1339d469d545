//! The service that a layer makes, and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::body::ThrottleBody;
use super::key::Head;
use super::layer::Shared;
use super::reply::{add_older, is_grpc, rejection_of};
use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::{Brief, Decision, Reservation};
use crate::limiter::acquire::acquire_untold_async;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::store::memory::Verdict;
use crate::store::request::{BoxFuture, Operation};
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
        let shared = Arc::clone(&self.shared);
        let is_grpc = is_grpc(request.headers());
        let (request, asked) = if shared.needs_parts {
            let (parts, body) = request.into_parts();
            let terms = &shared.terms;
            let asked = if terms.skip.as_ref().is_some_and(|skip| skip(&parts)) {
                Asked::Pass(None)
            } else {
                let cost = terms.cost.as_ref().map_or(1, |cost| cost(&parts));
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
                taken,
            },
            Asked::Reject(rejected) => Stage::Rejected {
                rejected: Some(rejected),
            },
            Asked::Wait(decision) => {
                // The service that was found ready is the one to be called.
                let other = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, other);
                Stage::Asking {
                    decision,
                    call: Some((ready, request)),
                }
            }
        };
        ResponseFuture {
            shared,
            is_grpc,
            stage,
        }
    }
}

/// What was taken for a request that was passed on.
#[derive(Debug)]
struct Taken {
    brief: Brief,
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
    brief: Option<Brief>,
}

enum Asked {
    Pass(Option<Taken>),
    Reject(Box<Rejected>),
    Wait(BoxFuture<'static, Result<Option<Taken>, Box<Rejected>>>),
}

impl From<Result<Option<Taken>, Box<Rejected>>> for Asked {
    fn from(judged: Result<Option<Taken>, Box<Rejected>>) -> Self {
        match judged {
            Ok(taken) => Self::Pass(taken),
            Err(rejected) => Self::Reject(rejected),
        }
    }
}

impl Shared {
    fn ask(self: &Arc<Self>, head: &Head<'_>, cost: u64) -> Asked {
        let throttle = &self.terms.throttle;
        let limiter = match throttle.bound() {
            Some(limiter) => limiter,
            None => match throttle.limiter() {
                Ok(limiter) => limiter,
                Err(error) => return Asked::Reject(Box::new(Rejected { error, brief: None })),
            },
        };
        match &self.terms.key {
            None => self.ask_about(limiter, None, cost),
            Some(key) => key.with_text(head, |user| self.ask_about(limiter, Some(user), cost)),
        }
    }

    fn ask_about(self: &Arc<Self>, limiter: &Limiter, user: Option<&str>, cost: u64) -> Asked {
        if !(self.never_waits && limiter.is_immediate()) {
            let (key, shared) = (user.map(str::to_owned), Arc::clone(self));
            return Asked::Wait(Box::pin(async move {
                let decided = shared.ask_async(key.as_deref(), cost).await;
                shared.judge(key.as_deref(), cost, decided)
            }));
        }
        match self.shortly(limiter, user, cost) {
            Some(asked) => asked,
            None => {
                let decided = limiter.handle(user, Operation::Take(cost));
                self.judge(user, cost, decided).into()
            }
        }
    }

    /// By the shortest way there is to what the client is told, if there is one.
    fn shortly(&self, limiter: &Limiter, user: Option<&str>, cost: u64) -> Option<Asked> {
        let terms = &self.terms;
        if terms.charge.is_some() || terms.shadow {
            return None;
        }
        let told = |outcome| limiter.told(user.map(Subject::Text), outcome);
        let reject = |nanos, brief| {
            told(Outcome::Denied);
            // The key stays here: nobody is told of it.
            let error = limiter.denied_for(None, nanos);
            Asked::Reject(Box::new(Rejected { error, brief }))
        };
        if !(terms.standard_headers || terms.older_headers) {
            return match limiter.admit(user.map(Subject::Text), cost, MaxWait::None) {
                Verdict::Admitted => {
                    told(Outcome::Admitted);
                    Some(Asked::Pass(None))
                }
                Verdict::Denied(nanos) => Some(reject(nanos, None)),
                Verdict::Unknown => None,
            };
        }
        let brief = limiter.brief(user?, cost)?;
        if !brief.allowed {
            let nanos = u64::try_from(brief.after.as_nanos()).unwrap_or(u64::MAX);
            return Some(reject(nanos, Some(brief)));
        }
        told(Outcome::Admitted);
        Some(Asked::Pass(Some(Taken {
            brief,
            charge: None,
        })))
    }

    async fn ask_async(&self, user: Option<&str>, cost: u64) -> Result<Decision, Error> {
        let limiter = self.terms.throttle.limiter()?;
        if self.never_waits {
            limiter.take_async(user, cost).await
        } else {
            acquire_untold_async(limiter, user, cost, self.terms.throttle.max_wait()).await
        }
    }

    /// Whether the request is passed on; tells of the decision.
    fn judge(
        &self,
        user: Option<&str>,
        cost: u64,
        decided: Result<Decision, Error>,
    ) -> Result<Option<Taken>, Box<Rejected>> {
        let terms = &self.terms;
        let limiter = match terms.throttle.limiter() {
            Ok(limiter) => limiter,
            Err(error) => return Err(Box::new(Rejected { error, brief: None })),
        };
        let outcome = match Outcome::of(decided.as_ref().map(|decision| decision.allowed)) {
            Outcome::Denied if terms.shadow => Outcome::ShadowDenied,
            outcome => outcome,
        };
        limiter.told(user.map(Subject::Text), outcome);
        if terms.shadow {
            return Ok(None);
        }
        let decision = decided.map_err(|error| Box::new(Rejected { error, brief: None }))?;
        let brief = Brief::from(&decision);
        if !decision.allowed {
            let error = limiter.denied(None, &decision);
            return Err(Box::new(Rejected {
                error,
                brief: Some(brief),
            }));
        }
        let charge = terms.charge.as_ref().map(|_| {
            Box::new(Charge {
                key: user.map(str::to_owned),
                cost,
                reservation: decision.reservation,
            })
        });
        Ok(Some(Taken { brief, charge }))
    }

    fn plans(&self) -> &[Plan] {
        self.terms.throttle.bound().map_or(&[], Limiter::plans)
    }

    fn reject<R>(&self, rejected: Rejected, is_grpc: bool) -> Response<ThrottleBody<R>> {
        let Rejected { error, brief } = rejected;
        let plans = self.plans();
        let violated = match &brief {
            Some(brief) => self.policies.violated(plans, brief),
            None => self.policies.all(),
        };
        // A wait that would be too long is told of without a decision.
        let brief = brief.or_else(|| {
            Some(Brief {
                allowed: false,
                limit: plans.first()?.capacity(),
                remaining: 0,
                after: error.retry_after()?,
            })
        });
        let rejection = rejection_of(error, violated);
        let response = match &self.terms.reply {
            Some(reply) => reply(&rejection),
            None if is_grpc => rejection.to_grpc_response(),
            None => rejection.to_response(),
        };
        let mut response = response.map(ThrottleBody::own);
        rejection.add_retry_after(response.headers_mut());
        self.add_headers(response.headers_mut(), brief.as_ref());
        response
    }

    fn answer<R>(&self, response: Response<R>, taken: Option<Taken>) -> Response<ThrottleBody<R>> {
        let Some(Taken { mut brief, charge }) = taken else {
            return response.map(ThrottleBody::service);
        };
        let mut response = response;
        if let (Some(charge), Some(is_charged)) = (charge, &self.terms.charge) {
            let (parts, body) = response.into_parts();
            if !is_charged(&parts) {
                let Charge {
                    key,
                    cost,
                    reservation,
                } = *charge;
                if let Some(limiter) = self.terms.throttle.bound() {
                    limiter.release(key.as_deref(), reservation, cost);
                }
                brief.remaining = brief.remaining.saturating_add(cost).min(brief.limit);
            }
            response = Response::from_parts(parts, body);
        }
        self.add_headers(response.headers_mut(), Some(&brief));
        response.map(ThrottleBody::service)
    }

    fn add_headers(&self, headers: &mut HeaderMap, brief: Option<&Brief>) {
        let terms = &self.terms;
        if terms.standard_headers {
            self.policies.add_standard(headers, self.plans(), brief);
        }
        if let (true, Some(brief)) = (terms.older_headers, brief) {
            add_older(headers, brief);
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`ThrottleService`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        shared: Arc<Shared>,
        is_grpc: bool,
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
            decision: BoxFuture<'static, Result<Option<Taken>, Box<Rejected>>>,
            call: Option<(S, Request<B>)>,
        },
        Called {
            #[pin]
            future: S::Future,
            taken: Option<Taken>,
        },
        Rejected { rejected: Option<Box<Rejected>> },
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
                    let (mut inner, request) = call.take().expect("asked once");
                    let next = match judged {
                        Ok(taken) => Stage::Called {
                            future: inner.call(request),
                            taken,
                        },
                        Err(rejected) => Stage::Rejected {
                            rejected: Some(rejected),
                        },
                    };
                    this.stage.set(next);
                }
                StageProjection::Called { future, taken } => {
                    let response = ready!(future.poll(context))?;
                    let taken = taken.take();
                    return Poll::Ready(Ok(this.shared.answer(response, taken)));
                }
                StageProjection::Rejected { rejected } => {
                    let rejected = rejected.take().expect("polled after it was done");
                    return Poll::Ready(Ok(this.shared.reject(*rejected, *this.is_grpc)));
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
