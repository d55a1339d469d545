//! The options that say how a request is decided.

use std::sync::Arc;
use std::time::Duration;

use http::{request, response};

use super::ThrottleLayer;
use crate::integrations::tower::key::RequestKey;
use crate::integrations::tower::missing_key::MissingKey;

impl ThrottleLayer {
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
    /// A request that finds the limit used up waits for the responses to earlier requests of its key, because
    /// these may be refunded; [`ThrottleLayer::wait_for_outcomes`] sets how long. It waits only for requests of
    /// this layer and its clones, not for those of other processes.
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
    /// If they take longer, the request is denied with a `Retry-After` of one second, because the time of its
    /// admission is not known. With zero, no request waits. [`ThrottleLayer::max_waiting`] bounds how many wait.
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

    /// Sets how many requests may wait at a time in this process, for all keys together. Another request is
    /// answered with 503. Default: no limit.
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
}
