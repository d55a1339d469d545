//! The service that a layer creates.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::body::ThrottleBody;
use super::config::Shared;
use super::decide::Dispatch;
use super::future::{ResponseFuture, Stage};
use super::grpc;
use super::key_text::Head;

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
                Some(Ok(())) => {
                    let future = self.inner.call(request);
                    let stage = Stage::Called {
                        future,
                        admitted: None,
                    };
                    return ResponseFuture { stage };
                }
                Some(Err(rejected)) => Dispatch::Reject(rejected),
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
