//! The response future of a throttled service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::HeaderValue;
use http::{Request, Response};
use tower_service::Service;

use super::body::ThrottleBody;
use super::config::Shared;
use super::decide::{Admitted, Rejected, Verdict};
use super::grpc;
use crate::store::request::BoxFuture;

pin_project_lite::pin_project! {
    /// The response future of a [`ThrottleService`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        pub(super) stage: Stage<S, B>,
    }
}

pin_project_lite::pin_project! {
    #[project = StageProjection]
    pub(super) enum Stage<S, B>
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
            // The request waited, so the service has to become ready again before it is called.
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
                        // A waiting request must not keep capacity from admitted ones. A clone has reserved
                        // none.
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
