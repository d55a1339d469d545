//! The options that say what responses contain.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::ThrottleLayer;
use crate::integrations::tower::rate_limit_header::HeaderFormat;
use crate::integrations::tower::reply::Rejection;

impl ThrottleLayer {
    /// Names the limits in `RateLimit` and `RateLimit-Policy`, in the order in which they were given.
    /// Default: the name of the layer, with `-2`, `-3` … appended from the second limit on.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let limits = [Limit::token_bucket(5, second), Limit::token_bucket(100, 60 * second)];
    /// let layer = ThrottleLayer::all("api", &limits).policies(["burst", "sustained"]);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn policies<N: Into<Arc<str>>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.with(|config| config.policies = names.into_iter().map(Into::into).collect())
    }

    /// Sets whether responses carry `RateLimit` and `RateLimit-Policy`. Default: `true`.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .headers(false);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn headers(self, add: bool) -> Self {
        self.with(|config| config.standard_headers = add)
    }

    /// Sets whether responses carry `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
    /// `X-RateLimit-Reset` (seconds from now). Default: `false`.
    ///
    /// If several limits apply, the headers describe the one with the fewest units left. `X-RateLimit-Reset` is
    /// the time until the limit is full again or, for a denied request, until the request would be admitted.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .older_headers(true);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn older_headers(self, add: bool) -> Self {
        self.with(|config| config.older_headers = add)
    }

    /// Sets the form of the headers that [`ThrottleLayer::headers`] adds. Default:
    /// [`HeaderFormat::Draft11`].
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::{HeaderFormat, ThrottleLayer};
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .header_format(HeaderFormat::Draft07);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn header_format(self, format: HeaderFormat) -> Self {
        self.with(|config| config.header_format = format)
    }

    /// Sets whether `RateLimit` has the parameter `pk`, by which a client can tell apart the limits of several
    /// keys. Default: `false`.
    ///
    /// The value is the FNV-1a hash of the key's text: eight bytes, the most significant first. The hash does not
    /// protect a key that can be guessed. Only [`HeaderFormat::Draft11`] has the parameter.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::{RequestKey, ThrottleLayer};
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .key(RequestKey::header("x-tenant"))
    ///     .partition_keys(true);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn partition_keys(self, add: bool) -> Self {
        self.with(|config| config.partition_keys = add)
    }

    /// Adds up to `longest`, at random, to the `Retry-After` of denied requests, so that clients that were denied
    /// together do not retry together. Default: zero.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::fixed_window(100, Duration::from_secs(60)))
    ///     .retry_after_jitter(Duration::from_secs(5));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn retry_after_jitter(self, longest: Duration) -> Self {
        self.with(|config| config.retry_jitter = longest)
    }

    /// Sets the function that builds the response to a request that is not admitted. Default:
    /// [`Rejection::to_response`], or [`Rejection::to_grpc_response`] for a gRPC request.
    ///
    /// The layer adds `Retry-After` and `Cache-Control: no-store` if the response lacks them, and the
    /// rate-limit headers.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::fixed_window(1, Duration::from_secs(1)))
    ///     .reply(|rejection| {
    ///         let mut reply = rejection.to_response();
    ///         *reply.body_mut() = "slow down".into();
    ///         reply
    ///     });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn reply(
        self,
        reply: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.reply = Some(Arc::new(reply)))
    }
}
