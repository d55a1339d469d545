//! The layer and its options.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, request, response};
use tower_layer::Layer;

use super::config::{LayerConfig, Shared};
use super::key::RequestKey;
use super::missing_key::MissingKey;
use super::rate_limit_header::HeaderFormat;
use super::reply::Rejection;
use super::service::ThrottleService;
use crate::config::builder::Config;
use crate::error::Error;
use crate::limit::quota::Limit;
use crate::throttle::Throttle;

/// A tower layer that limits the requests to a service.
///
/// Defaults: one limit for all requests, a cost of 1 per request, no waiting, and the headers
/// `RateLimit` and `RateLimit-Policy` on every response.
///
/// A request that is refused or waits reserves nothing of the service inside, so that a concurrency limit
/// there has its permits for admitted requests.
///
/// Layers with equal name, keyspace and algorithm share their limit, as [`Throttle`]s do.
/// [`limits::set`](crate::limits::set) changes the limit by its name.
///
/// A rejected gRPC request gets a gRPC status instead of an HTTP status. It is recognized by its method, its
/// HTTP version and its content type: [`Rejection::to_grpc_response`].
///
/// In front of an HTTP client, the layer limits outgoing requests. With
/// [`ThrottleLayer::wait_at_most`] it delays requests to fit the limit; a request that would have to
/// wait longer is not sent, and the layer answers it with 429.
///
/// ```
/// use premier::Limit;
/// use premier::tower::{RequestKey, ThrottleLayer};
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let search = ThrottleLayer::all(
///     "search",
///     &[Limit::token_bucket(5, second), Limit::token_bucket(100, 60 * second)],
/// )
/// .policies(["burst", "sustained"])
/// .key(RequestKey::header("x-api-key"))
/// .cost(|request| if request.uri.path() == "/export" { 5 } else { 1 })
/// .skip_if(|request| request.uri.path() == "/health")
/// .wait_at_most(Duration::from_millis(200));
/// # let _ = search;
/// ```
#[derive(Clone)]
pub struct ThrottleLayer {
    config: LayerConfig,
    /// Created when the layer or a clone is first used, and dropped by every change of an option. axum clones
    /// the layer for each route.
    shared: Arc<OnceLock<Arc<Shared>>>,
}

impl ThrottleLayer {
    /// Creates a layer with one limit. `name` identifies the limit in errors, metrics and
    /// [`limits::set`](crate::limits::set).
    ///
    /// The layer uses the process's configuration, unless [`ThrottleLayer::with_config`] is called.
    ///
    /// # Panics
    /// When the limit is invalid, as when its quota or its period is 0. [`ThrottleLayer::try_new`] returns an
    /// error instead.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)));
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new(name: &str, limit: Limit) -> Self {
        Self::from_throttle(Throttle::new(name, limit))
    }

    /// Creates a layer with one limit, which may be invalid: one from a configuration, for example.
    ///
    /// # Errors
    /// [`Error::Config`] when the limit is invalid, as when its quota or its period is 0.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// assert!(ThrottleLayer::try_new("api", Limit::token_bucket(10, minute)).is_ok());
    /// assert!(ThrottleLayer::try_new("api", Limit::token_bucket(0, minute)).is_err());
    /// ```
    pub fn try_new(name: &str, limit: Limit) -> Result<Self, Error> {
        Self::try_from_throttle(Throttle::new(name, limit))
    }

    /// Creates a layer with several limits. A request is admitted only if all limits admit it, and
    /// then takes its cost from each of them.
    ///
    /// # Panics
    /// When a limit is invalid or there is none. [`ThrottleLayer::try_all`] returns an error instead.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let limits = [Limit::token_bucket(5, second), Limit::fixed_window(1_000, 3_600 * second)];
    /// let layer = ThrottleLayer::all("api", &limits);
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn all(name: &str, limits: &[Limit]) -> Self {
        Self::from_throttle(Throttle::all(name, limits))
    }

    /// Creates a layer with several limits, which may be invalid.
    ///
    /// # Errors
    /// [`Error::Config`] when a limit is invalid or there is none.
    ///
    /// ```
    /// use premier::tower::ThrottleLayer;
    ///
    /// let limits: Vec<premier::Limit> = Vec::new();
    /// let error = ThrottleLayer::try_all("api", &limits).unwrap_err();
    /// assert_eq!(error.to_string(), "api has no limit");
    /// ```
    pub fn try_all(name: &str, limits: &[Limit]) -> Result<Self, Error> {
        Self::try_from_throttle(Throttle::all(name, limits))
    }

    /// Creates a layer that decides with a [`Throttle`]. Calls through the throttle itself and
    /// requests through the layer share the limit.
    ///
    /// # Panics
    /// When a limit or the configuration of the throttle is invalid. [`ThrottleLayer::try_from_throttle`]
    /// returns an error instead.
    ///
    /// ```
    /// use premier::tower::ThrottleLayer;
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let throttle = Throttle::new("api", Limit::token_bucket(10, Duration::from_secs(1)));
    /// let layer = ThrottleLayer::from_throttle(throttle);
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_throttle(throttle: Throttle) -> Self {
        match Self::try_from_throttle(throttle) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates a layer that decides with a [`Throttle`], whose limit may be invalid.
    ///
    /// # Errors
    /// [`Error::Config`] when a limit or the configuration of the throttle is invalid.
    ///
    /// ```
    /// use premier::tower::ThrottleLayer;
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let throttle = Throttle::new("api", Limit::token_bucket(10, Duration::ZERO));
    /// assert!(ThrottleLayer::try_from_throttle(throttle).is_err());
    /// ```
    pub fn try_from_throttle(throttle: Throttle) -> Result<Self, Error> {
        throttle.validate()?;
        let config = LayerConfig {
            throttle,
            key: None,
            missing_key: MissingKey::default(),
            cost: None,
            skip: None,
            charge: None,
            outcomes: Arc::default(),
            outcome_wait: Duration::from_secs(5),
            reply: None,
            shadow: false,
            standard_headers: true,
            older_headers: false,
            header_format: HeaderFormat::default(),
            partition_keys: false,
            retry_jitter: Duration::ZERO,
            policies: Vec::new(),
        };
        Ok(Self {
            config,
            shared: Arc::default(),
        })
    }

    /// Sets the store, or the whole configuration, of this layer. Default: the process's
    /// configuration.
    ///
    /// # Panics
    /// When the configuration is invalid.
    ///
    /// ```
    /// use premier::tower::ThrottleLayer;
    /// use premier::{Limit, MemoryHandler};
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .with_config(MemoryHandler::new());
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn with_config(self, config: impl Into<Config>) -> Self {
        let throttle = self.config.throttle.with_config(config);
        if let Err(error) = throttle.validate() {
            panic!("{error}");
        }
        self.with(|layer| layer.throttle = throttle)
    }

    /// Gives every value of `key` its own limit. Default: all requests share one limit.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::{RequestKey, ThrottleLayer};
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .key(RequestKey::peer_ip());
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn key(self, key: RequestKey) -> Self {
        self.with(|config| config.key = Some(key))
    }

    /// Sets what happens to requests that lack what the key needs, such as a header or the address of the
    /// peer. Default: [`MissingKey::Deny`].
    ///
    /// In [`ThrottleLayer::shadow`] mode such requests are passed on.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
    /// use std::time::Duration;
    ///
    /// // Requests without an API key share one limit.
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .key(RequestKey::header("x-api-key"))
    ///     .missing_key(MissingKey::Shared);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn missing_key(self, policy: MissingKey) -> Self {
        self.with(|config| config.missing_key = policy)
    }

    /// Sets the cost of a request in units. Default: 1.
    ///
    /// A request that costs 0 is always admitted and takes nothing. A request that costs more than
    /// the capacity of the limit is answered with 400.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .cost(|request| if request.uri.path() == "/export" { 5 } else { 1 });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn cost(self, cost: impl Fn(&request::Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.with(|config| config.cost = Some(Arc::new(cost)))
    }

    /// Charges only requests whose response matches; others are refunded. Default: all requests are
    /// charged.
    ///
    /// The cost is taken before the service is called, so that concurrent requests cannot exceed the
    /// limit. It is not refunded when there is no response, because the service failed or the client
    /// disconnected.
    ///
    /// A request that finds the limit used up waits while requests of its key are without a response, because
    /// they may be refunded; [`ThrottleLayer::wait_for_outcomes`] says how long. Only requests that go through
    /// this layer and its clones are waited for, not those of other processes.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::{RequestKey, ThrottleLayer};
    /// use std::time::Duration;
    ///
    /// // Limits failed log-ins only.
    /// let layer = ThrottleLayer::new("login", Limit::sliding_log(5, Duration::from_secs(60)))
    ///     .key(RequestKey::peer_ip())
    ///     .charge_if(|response| response.status == 401);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn charge_if(
        self,
        charge: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.charge = Some(Arc::new(charge)))
    }

    /// Sets how long a request that finds the limit used up waits for the responses to other requests of its key,
    /// which [`ThrottleLayer::charge_if`] may refund. Default: 5 seconds.
    ///
    /// If they take longer it is denied, with a `Retry-After` of one second, because nobody knows yet when it
    /// would be admitted. With zero no request waits. [`ThrottleLayer::max_waiting`] bounds how many wait.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("login", Limit::sliding_log(5, Duration::from_secs(60)))
    ///     .charge_if(|response| response.status == 401)
    ///     .wait_for_outcomes(Duration::from_secs(2));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn wait_for_outcomes(self, longest: Duration) -> Self {
        self.with(|config| config.outcome_wait = longest)
    }

    /// Passes matching requests on without a decision. Default: every request is decided.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .skip_if(|request| request.uri.path() == "/health");
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn skip_if(self, skip: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|config| config.skip = Some(Arc::new(skip)))
    }

    /// Decides and records decisions but admits every request, to try a limit before enforcing it.
    ///
    /// A decision to deny is recorded as `shadow_denied`. Responses get no rate-limit headers.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .shadow();
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with(|config| config.shadow = true)
    }

    /// Delays requests until the limit admits them, first come, first served. A request that would
    /// have to wait longer than `longest` is denied at once. Default: requests do not wait.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .wait_at_most(Duration::from_millis(200));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn wait_at_most(self, longest: Duration) -> Self {
        self.with(|config| config.throttle = config.throttle.wait_at_most(longest))
    }

    /// Lets at most `requests` wait at a time in this process, for all keys together. One more is answered
    /// with 503. Default: without limit.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::tower::ThrottleLayer;
    /// use std::time::Duration;
    ///
    /// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
    ///     .wait_at_most(Duration::from_secs(2))
    ///     .max_waiting(1_000);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn max_waiting(self, requests: u64) -> Self {
        self.with(|config| config.throttle = config.throttle.max_waiting(requests))
    }

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
    /// Where several limits apply, the headers describe the one with the fewest requests left. An admitted
    /// request is told when the limit will be full again, a denied one when it would be admitted.
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

    /// Sets in which form responses carry what [`ThrottleLayer::headers`] adds. Default:
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
    /// Its eight bytes are the FNV-1a hash of the key's text, the highest first. The hash hides no key from those
    /// who can guess it. Only [`HeaderFormat::Draft11`] has the parameter.
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
    /// together do not come back together. Default: nothing.
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

    fn with(mut self, change: impl FnOnce(&mut LayerConfig)) -> Self {
        change(&mut self.config);
        self.shared = Arc::default();
        self
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = self
            .shared
            .get_or_init(|| Arc::new(self.config.clone().into()));
        // Without the cell's lock, because a recorder is code of the user's.
        shared.register_metrics();
        ThrottleService::new(inner, Arc::clone(shared))
    }
}

impl fmt::Debug for ThrottleLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThrottleLayer")
            .field("throttle", &self.config.throttle)
            .field("key", &self.config.key)
            .field("missing_key", &self.config.missing_key)
            .field("shadow", &self.config.shadow)
            .finish_non_exhaustive()
    }
}
