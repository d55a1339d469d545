//! The layer. Its options are in one file for requests and one for responses.

mod requests;
mod responses;

use std::fmt;
use std::sync::{Arc, OnceLock};

use tower_layer::Layer;

use super::config::{LayerConfig, Shared};
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
/// A refused or waiting request reserves no capacity of the inner service, so a concurrency limit inside keeps its
/// permits for admitted requests.
///
/// Layers with equal name, keyspace and algorithm share their limit, as [`Throttle`]s do.
/// [`limits::set`](crate::limits::set) changes the limit by its name.
///
/// A rejected gRPC request gets a gRPC status instead of an HTTP status. It is recognized by its method, its
/// HTTP version and its content type: [`Rejection::to_grpc_response`](super::Rejection::to_grpc_response).
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
        Ok(Self {
            config: LayerConfig::from(throttle),
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
