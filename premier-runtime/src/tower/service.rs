//! The service that a layer makes, and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response, request};
use tower_service::Service;

use super::body::ThrottleBody;
use super::layer::Shared;
use super::reply::{add_older, rejection_of};
use crate::acquire::acquire_untold_async;
use crate::algorithms::Plan;
use crate::gate::{Gate, Patience};
use crate::handler::{BoxFuture, Operation};
use crate::key_buffer::KeyBuffer;
use crate::key_text::User;
use crate::telemetry::Outcome;
use crate::{Algo, Decision, Error};

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
        let (parts, body) = request.into_parts();
        let terms = &shared.terms;
        let stage = if terms.skip.as_ref().is_some_and(|skip| skip(&parts)) {
            Stage::Called {
                future: self.inner.call(Request::from_parts(parts, body)),
                taken: None,
            }
        } else {
            let cost = terms.cost.as_ref().map_or(1, |cost| cost(&parts));
            match shared.ask(&parts, cost) {
                Asked::Answered(taken) => match shared.judge(taken) {
                    Ok(taken) => Stage::Called {
                        future: self.inner.call(Request::from_parts(parts, body)),
                        taken: Some(taken),
                    },
                    Err(rejected) => Stage::Rejected {
                        rejected: Some(rejected),
                    },
                },
                Asked::Wait(decision) => {
                    // The service that was found ready is the one to be called.
                    let other = self.inner.clone();
                    Stage::Asking {
                        decision,
                        call: Some((
                            std::mem::replace(&mut self.inner, other),
                            Request::from_parts(parts, body),
                        )),
                    }
                }
            }
        };
        ResponseFuture { shared, stage }
    }
}

/// What was taken for a request.
#[derive(Debug)]
struct Taken {
    /// For what is given back, where anything may be.
    key: Option<String>,
    cost: u64,
    decided: Result<Decision, Error>,
}

enum Asked {
    Answered(Taken),
    Wait(BoxFuture<'static, Taken>),
}

/// A request that is not to be passed on.
#[derive(Debug)]
struct Rejected {
    error: Error,
    decision: Option<Decision>,
}

impl Shared {
    fn ask(self: &Arc<Self>, parts: &request::Parts, cost: u64) -> Asked {
        let Self { terms, .. } = &**self;
        let gate = match terms.throttle.gate() {
            Ok(gate) => gate,
            Err(error) => {
                return Asked::Answered(Taken {
                    key: None,
                    cost,
                    decided: Err(error),
                });
            }
        };
        let key = terms
            .key
            .as_ref()
            .map(|key| KeyBuffer::format(&key.of(parts)));
        let user = key.as_ref().map(KeyBuffer::as_str);
        if gate.is_immediate() && self.never_waits(gate) {
            let decided = gate.handle(user, Operation::Take(cost));
            let keep = terms.charge.is_some();
            self.tell(gate, user, &decided);
            return Asked::Answered(Taken {
                key: user.filter(|_| keep).map(str::to_owned),
                cost,
                decided,
            });
        }
        let (key, shared) = (user.map(str::to_owned), Arc::clone(self));
        Asked::Wait(Box::pin(async move {
            let decided = shared.ask_async(key.as_deref(), cost).await;
            Taken { key, cost, decided }
        }))
    }

    async fn ask_async(&self, user: Option<&str>, cost: u64) -> Result<Decision, Error> {
        let gate = self.terms.throttle.gate()?;
        let decided = if self.never_waits(gate) {
            gate.take_async(user, cost).await
        } else {
            let patience = self.terms.throttle.patience();
            acquire_untold_async(gate, user, cost, patience).await
        };
        self.tell(gate, user, &decided);
        decided
    }

    /// Whether a decision is all there is to it.
    fn never_waits(&self, gate: &Gate) -> bool {
        self.terms.shadow
            || self.terms.throttle.patience() == Patience::None
                && gate
                    .plans()
                    .iter()
                    .all(|plan| plan.limit().algo() != Algo::LeakyBucket)
    }

    fn tell(&self, gate: &Gate, user: Option<&str>, decided: &Result<Decision, Error>) {
        let outcome = Outcome::of(decided.as_ref().map(|decision| decision.allowed));
        let outcome = match outcome {
            Outcome::Denied if self.terms.shadow => Outcome::ShadowDenied,
            outcome => outcome,
        };
        gate.told(user.map(User::Text), outcome);
    }

    /// Whether the request is passed on.
    fn judge(&self, taken: Taken) -> Result<Taken, Box<Rejected>> {
        if self.terms.shadow {
            return Ok(taken);
        }
        match taken.decided {
            Ok(decision) if decision.allowed => Ok(Taken {
                decided: Ok(decision),
                ..taken
            }),
            Ok(decision) => Err(Box::new(Rejected {
                // The key stays here: nobody is told of it.
                error: self
                    .terms
                    .throttle
                    .gate()
                    .map_or_else(|error| error, |gate| gate.denied(None, &decision)),
                decision: Some(decision),
            })),
            Err(error) => Err(Box::new(Rejected {
                error,
                decision: None,
            })),
        }
    }

    fn plans(&self) -> &[Plan] {
        self.terms.throttle.gate().map_or(&[], Gate::plans)
    }

    fn reject<R>(&self, rejected: Box<Rejected>) -> Response<ThrottleBody<R>> {
        let Rejected { error, decision } = *rejected;
        let plans = self.plans();
        let violated = match &decision {
            Some(decision) => self.policies.violated(plans, decision),
            None => self.policies.all(),
        };
        // A wait that would be too long is told of without a decision.
        let decision = decision.or_else(|| {
            let (retry_after, plan) = (error.retry_after()?, plans.first()?);
            Some(Decision {
                allowed: false,
                retry_after,
                ..Decision::new(plan.capacity())
            })
        });
        let rejection = rejection_of(error, violated);
        let response = match &self.terms.reply {
            Some(reply) => reply(&rejection),
            None => rejection.to_response(),
        };
        let mut response = response.map(ThrottleBody::own);
        rejection.add_retry_after(response.headers_mut());
        self.add_headers(response.headers_mut(), decision.as_ref());
        response
    }

    fn answer<R>(&self, response: Response<R>, taken: Option<Taken>) -> Response<ThrottleBody<R>> {
        let mut response = response.map(ThrottleBody::service);
        let Some(Taken {
            key,
            cost,
            decided: Ok(mut decision),
        }) = taken
        else {
            return response;
        };
        if let Some(charge) = &self.terms.charge
            && decision.allowed
        {
            let (parts, body) = response.into_parts();
            if !charge(&parts) {
                if let Ok(gate) = self.terms.throttle.gate() {
                    gate.release(key.as_deref(), decision.reservation, cost);
                }
                let remaining = decision.remaining.saturating_add(cost);
                decision.remaining = remaining.min(decision.limit);
            }
            response = Response::from_parts(parts, body);
        }
        if !self.terms.shadow {
            self.add_headers(response.headers_mut(), Some(&decision));
        }
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap, decision: Option<&Decision>) {
        let terms = &self.terms;
        if terms.standard_headers {
            self.policies.add_standard(headers, self.plans(), decision);
        }
        if let (true, Some(decision)) = (terms.older_headers, decision) {
            add_older(headers, decision);
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
            decision: BoxFuture<'static, Taken>,
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
                    let taken = ready!(decision.as_mut().poll(context));
                    let (mut inner, request) = call.take().expect("asked once");
                    let next = match this.shared.judge(taken) {
                        Ok(taken) => Stage::Called {
                            future: inner.call(request),
                            taken: Some(taken),
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
                    return Poll::Ready(Ok(this.shared.reject(rejected)));
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
