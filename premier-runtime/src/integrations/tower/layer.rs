//! The layer and what can be said to it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, request, response};
use tower_layer::Layer;

use super::reply::Policies;
use super::{Rejection, RequestKey, ThrottleService};
use crate::config::builder::Config;
use crate::limit::quota::Limit;
use crate::limiter::max_wait::MaxWait;
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
    terms: Terms,
    /// Made when the layer is first used.
    shared: OnceLock<Arc<Shared>>,
}

type OfRequest<T> = Arc<dyn Fn(&request::Parts) -> T + Send + Sync>;
type OfResponse<T> = Arc<dyn Fn(&response::Parts) -> T + Send + Sync>;
type Reply = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Terms {
    pub(super) throttle: Throttle,
    pub(super) key: Option<RequestKey>,
    pub(super) cost: Option<OfRequest<u64>>,
    pub(super) skip: Option<OfRequest<bool>>,
    pub(super) charge: Option<OfResponse<bool>>,
    pub(super) reply: Option<Reply>,
    pub(super) shadow: bool,
    pub(super) standard_headers: bool,
    pub(super) older_headers: bool,
    policies: Vec<Arc<str>>,
}

/// What all services of a layer share.
pub(super) struct Shared {
    pub(super) terms: Terms,
    pub(super) policies: Policies,
    /// Whether some function is given the parts of a request.
    pub(super) needs_parts: bool,
    /// Whether a decision is all there is to it.
    pub(super) never_waits: bool,
}

impl ThrottleLayer {
    /// One limit, of the process's configuration.
    #[must_use]
    pub fn new(name: &str, limit: Limit) -> Self {
        Self::of(Throttle::new(name, limit))
    }

    /// Several that decide as one.
    #[must_use]
    pub fn all(name: &str, limits: &[Limit]) -> Self {
        Self::of(Throttle::all(name, limits))
    }

    /// By a [`Throttle`], which is then asked nothing but by this layer and you.
    #[must_use]
    pub fn of(throttle: Throttle) -> Self {
        let terms = Terms {
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
            terms,
            shared: OnceLock::new(),
        }
    }

    /// With a store, or a whole configuration, of its own.
    #[must_use]
    pub fn handler(self, config: impl Into<Config>) -> Self {
        self.with(|terms| terms.throttle = terms.throttle.by(config))
    }

    /// A limit for each of these.
    #[must_use]
    pub fn key(self, key: RequestKey) -> Self {
        self.with(|terms| terms.key = Some(key))
    }

    /// What a request costs. 0 asks without taking; more than the limit can ever give is answered
    /// with 400.
    #[must_use]
    pub fn cost(self, cost: impl Fn(&request::Parts) -> u64 + Send + Sync + 'static) -> Self {
        self.with(|terms| terms.cost = Some(Arc::new(cost)))
    }

    /// Charges only requests that are answered so. The cost is taken before the service is called,
    /// so that requests at one time cannot overdraw, and given back after any other answer. It stays
    /// taken when there is no answer: the service fails, or the client goes away.
    #[must_use]
    pub fn charge_if(
        self,
        charge: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|terms| terms.charge = Some(Arc::new(charge)))
    }

    /// Leaves such requests alone.
    #[must_use]
    pub fn skip_if(self, skip: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|terms| terms.skip = Some(Arc::new(skip)))
    }

    /// Decides and records, and never blocks: for a limit that is to be tried out. Replies have no
    /// headers of it.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.with(|terms| terms.shadow = true)
    }

    /// Lets requests wait for their turn, first come first served. One that would wait longer is
    /// denied at once.
    #[must_use]
    pub fn wait_at_most(self, longest: Duration) -> Self {
        self.with(|terms| terms.throttle = terms.throttle.wait_at_most(longest))
    }

    /// The names of the limits in `RateLimit` and `RateLimit-Policy`, in their order. Default: the
    /// layer's, numbered from the second on.
    #[must_use]
    pub fn policies<N: Into<Arc<str>>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.with(|terms| terms.policies = names.into_iter().map(Into::into).collect())
    }

    /// Whether replies carry `RateLimit` and `RateLimit-Policy`. Default: yes.
    #[must_use]
    pub fn headers(self, add: bool) -> Self {
        self.with(|terms| terms.standard_headers = add)
    }

    /// Whether replies carry `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds from now).
    /// Default: no.
    #[must_use]
    pub fn older_headers(self, add: bool) -> Self {
        self.with(|terms| terms.older_headers = add)
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
        self.with(|terms| terms.reply = Some(Arc::new(reply)))
    }

    fn with(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(&mut self.terms);
        self.shared = OnceLock::new();
        self
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = ThrottleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = self.shared.get_or_init(|| {
            let terms = self.terms.clone();
            let throttle = &terms.throttle;
            Arc::new(Shared {
                never_waits: terms.shadow
                    || throttle.max_wait() == MaxWait::None && !throttle.is_queue(),
                needs_parts: terms.skip.is_some()
                    || terms.cost.is_some()
                    || terms.key.as_ref().is_some_and(RequestKey::needs_parts),
                policies: Policies::new(throttle.name(), &terms.policies, throttle.limits()),
                terms,
            })
        });
        ThrottleService::new(inner, Arc::clone(shared))
    }
}

impl fmt::Debug for ThrottleLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ThrottleLayer")
            .field("throttle", &self.terms.throttle)
            .field("key", &self.terms.key)
            .field("shadow", &self.terms.shadow)
            .finish_non_exhaustive()
    }
}
