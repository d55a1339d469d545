//! A layer that adds headers about the limits of the functions that a request has called.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use tower_layer::Layer;
use tower_service::Service;

use super::call_headers::CallHeaders;
use super::rate_limit_header::HeaderFormat;
use crate::limiter::overrides;
use crate::telemetry::collector::Collector;

/// A tower layer that adds `RateLimit` and `RateLimit-Policy` to the responses of handlers that carry
/// `#[throttle]`, or that call [`Throttle::acquire`](crate::Throttle::acquire) or its
/// async form.
///
/// Without the layer only the response to a refused call has them, because an admitted call computes no numbers.
/// Calls inside the layer compute them, which takes longer. Calls outside the layer take a few nanoseconds longer
/// than without it.
///
/// The headers describe the limit that has denied a call, or else the tightest of all that have admitted one: the one
/// with the fewest units left. Its policy has the name of the throttle, and is called `default` for an attribute,
/// because responses do not reveal the names of functions. They say what was left when the call was decided.
///
/// The layer sees calls that are made while the service or its future is polled, not those in another task or thread, as
/// with `tokio::spawn`, `spawn_blocking`, or `#[timeout]` of a sync function. A [`ThrottleLayer`](super::ThrottleLayer)
/// adds its own headers; those of both merge.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::Router;
/// use axum::routing::get;
/// use premier::throttle;
/// use premier::tower::RateLimitHeadersLayer;
///
/// #[throttle(rate = "10/min")]
/// async fn quote() -> Result<&'static str, premier::Error> {
///     Ok("to be or not to be")
/// }
///
/// // RateLimit: "default";r=9;t=60
/// // RateLimit-Policy: "default";q=10;w=60
/// let app: Router = Router::new()
///     .route("/quote", get(quote))
///     .layer(RateLimitHeadersLayer::new());
/// # let _ = app;
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RateLimitHeadersLayer {
    options: Options,
}

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    format: HeaderFormat,
    older_headers: bool,
}

impl RateLimitHeadersLayer {
    /// Creates a layer.
    ///
    /// ```
    /// let layer = premier::tower::RateLimitHeadersLayer::new();
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the form of the headers. Default: [`HeaderFormat::Draft11`].
    ///
    /// ```
    /// use premier::tower::{HeaderFormat, RateLimitHeadersLayer};
    ///
    /// let layer = RateLimitHeadersLayer::new().header_format(HeaderFormat::Draft07);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub const fn header_format(mut self, format: HeaderFormat) -> Self {
        self.options.format = format;
        self
    }

    /// Sets whether responses also have `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`
    /// (seconds from now). Default: `false`.
    ///
    /// ```
    /// let layer = premier::tower::RateLimitHeadersLayer::new().older_headers(true);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub const fn older_headers(mut self, add: bool) -> Self {
        self.options.older_headers = add;
        self
    }
}

impl<S> Layer<S> for RateLimitHeadersLayer {
    type Service = RateLimitHeaders<S>;

    fn layer(&self, inner: S) -> Self::Service {
        overrides::enable_collecting();
        RateLimitHeaders {
            inner,
            options: self.options,
        }
    }
}

/// A service to whose responses a [`RateLimitHeadersLayer`] adds headers.
#[derive(Clone)]
pub struct RateLimitHeaders<S> {
    inner: S,
    options: Options,
}

impl<S: fmt::Debug> fmt::Debug for RateLimitHeaders<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RateLimitHeaders")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, Q, R> Service<Q> for RateLimitHeaders<S>
where
    S: Service<Q, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RateLimitHeadersFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let mut collector = Collector::default();
        let future = collector.during(|| self.inner.call(request));
        RateLimitHeadersFuture {
            future,
            collector,
            options: self.options,
        }
    }
}

pin_project_lite::pin_project! {
    /// The response future of a [`RateLimitHeaders`].
    pub struct RateLimitHeadersFuture<F> {
        #[pin]
        future: F,
        collector: Collector,
        options: Options,
    }
}

impl<F, R, E> Future for RateLimitHeadersFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let future = this.future;
        let mut response = ready!(this.collector.during(|| future.poll(context)))?;
        if let Some(decided) = mem::take(this.collector).into_tightest() {
            let call = CallHeaders::new(&decided, this.options.format);
            call.add(response.headers_mut());
            if this.options.older_headers {
                call.add_older(response.headers_mut());
            }
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for RateLimitHeadersFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RateLimitHeadersFuture")
            .finish_non_exhaustive()
    }
}
