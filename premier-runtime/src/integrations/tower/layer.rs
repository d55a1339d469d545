//! The layer and what can be said to it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, request, response};
use tower_layer::Layer;

use super::config::{LayerConfig, Shared};
use super::key::RequestKey;
use super::reply::Rejection;
use super::service::ThrottleService;
use crate::config::builder::Config;
use crate::limit::quota::Limit;
use crate::throttle::Throttle;

/// Limits the requests to a service.
///
/// Layers of one name, keyspace and algorithm share their limit, as [`Throttle`]s do, and
/// [`limits::set`](crate::limits::set) changes it by that name. Defaults: one limit for all
/// requests, a cost of 1, no waiting, headers of the IETF draft.
///
/// Requests of gRPC are refused as gRPC does it.
///
/// As a layer of a client it limits what is sent: with [`ThrottleLayer::wait_at_most`] requests are
/// sent as the limit allows, and one that would wait longer is answered with 429 here.
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
    /// Made when the layer is first used.
    shared: OnceLock<Arc<Shared>>,
}

impl ThrottleLayer {
    /// One limit, of the process's configuration.
    #[must_use]
    pub fn new(name: &str, limit: Limit) -> Self {
        Self::from_throttle(Throttle::new(name, limit))
    }

    /// Several that decide as one.
    #[must_use]
    pub fn all(name: &str, limits: &[Limit]) -> Self {
        Self::from_throttle(Throttle::all(name, limits))
    }

    /// By a [`Throttle`], which is then asked nothing but by this layer and you.
    #[must_use]
    pub fn from_throttle(throttle: Throttle) -> Self {
        let config = LayerConfig {
            throttle,
            key: None,
            cost: None,
            skip: None,
            charge: None,
            reply: None,
            shadow: false,
            standard_headers: true,
            older_headers: false,
            policies: Vec::new(),
        };
        Self {
            config,
            shared: OnceLock::new(),
        }
    }

    /// With a store, or a whole configuration, of its own.
    #[must_use]
    pub fn handler(self, config: impl Into<Config>) -> Self {
        self.with(|layer| layer.throttle = layer.throttle.with_config(config))
    }

    /// A limit for each of these.
    #[must_use]
    pub fn key(self, key: RequestKey) -> Self {
        self.with(|config| config.key = Some(key))
    }

    /// What a request costs. 0 asks without taking; more than the limit can ever give is answered
    /// with 400.
    #[must_use]
    pub fn cost(self, cost: impl Fn(&request::Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.with(|config| config.cost = Some(Arc::new(cost)))
    }

    /// Charges only requests whose response matches; others are refunded. The cost is taken before the
    /// service is called, so that concurrent requests cannot overdraw. It stays taken when there is no
    /// response: the service fails, or the client goes away.
    #[must_use]
    pub fn charge_if(
        self,
        charge: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.charge = Some(Arc::new(charge)))
    }

    /// Leaves such requests alone.
    #[must_use]
    pub fn skip_if(self, skip: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|config| config.skip = Some(Arc::new(skip)))
    }

    /// Decides and records, and never blocks: for a limit that is to be tried out. Replies have no
    /// headers of it.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with(|config| config.shadow = true)
    }

    /// Lets requests wait for their turn, first come first served. One that would wait longer is
    /// denied at once.
    #[must_use]
    pub fn wait_at_most(self, longest: Duration) -> Self {
        self.with(|config| config.throttle = config.throttle.wait_at_most(longest))
    }

    /// The names of the limits in `RateLimit` and `RateLimit-Policy`, in their order. Default: the
    /// layer's, numbered from the second on.
    #[must_use]
    pub fn policies<N: Into<Arc<str>>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.with(|config| config.policies = names.into_iter().map(Into::into).collect())
    }

    /// Whether replies carry `RateLimit` and `RateLimit-Policy`. Default: yes.
    #[must_use]
    pub fn headers(self, add: bool) -> Self {
        self.with(|config| config.standard_headers = add)
    }

    /// Whether replies carry `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds from now).
    /// Default: no.
    #[must_use]
    pub fn older_headers(self, add: bool) -> Self {
        self.with(|config| config.older_headers = add)
    }

    /// Builds the reply to a request that is not admitted. `Retry-After` and the headers above are
    /// added where they are missing.
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
        self.shared = OnceLock::new();
        self
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = self
            .shared
            .get_or_init(|| Arc::new(self.config.clone().into()));
        ThrottleService::new(inner, Arc::clone(shared))
    }
}

impl fmt::Debug for ThrottleLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThrottleLayer")
            .field("throttle", &self.config.throttle)
            .field("key", &self.config.key)
            .field("shadow", &self.config.shadow)
            .finish_non_exhaustive()
    }
}
