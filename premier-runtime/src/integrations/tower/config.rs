//! What a layer has been told, and what its services share.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, request, response};

use super::key::RequestKey;
use super::reply::{Policies, Rejection};
use crate::limiter::max_wait::MaxWait;
use crate::throttle::Throttle;

pub(super) type OfRequest<T> = Arc<dyn Fn(&request::Parts) -> T + Send + Sync>;
pub(super) type OfResponse<T> = Arc<dyn Fn(&response::Parts) -> T + Send + Sync>;
pub(super) type Reply = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(super) struct LayerConfig {
    pub(super) throttle: Throttle,
    pub(super) key: Option<RequestKey>,
    pub(super) cost: Option<OfRequest<u64>>,
    pub(super) skip: Option<OfRequest<bool>>,
    pub(super) charge: Option<OfResponse<bool>>,
    pub(super) reply: Option<Reply>,
    pub(super) shadow: bool,
    pub(super) standard_headers: bool,
    pub(super) older_headers: bool,
    pub(super) policies: Vec<Arc<str>>,
}

/// What all services of a layer share.
pub(super) struct Shared {
    pub(super) config: LayerConfig,
    pub(super) policies: Policies,
    /// Whether some function is given the parts of a request.
    pub(super) needs_parts: bool,
    /// Whether no request ever waits for its turn.
    pub(super) never_waits: bool,
    /// Whether the reply to an admitted request does not depend on the decision.
    pub(super) only_passes: bool,
}

impl From<LayerConfig> for Shared {
    fn from(config: LayerConfig) -> Self {
        let throttle = &config.throttle;
        let may_wait = throttle.max_wait() != MaxWait::None || throttle.is_queue();
        Self {
            never_waits: config.shadow || !may_wait,
            only_passes: config.charge.is_none()
                && !(config.standard_headers || config.older_headers || config.shadow),
            needs_parts: config.skip.is_some()
                || config.cost.is_some()
                || config.key.as_ref().is_some_and(RequestKey::needs_parts),
            policies: Policies::new(throttle.name(), &config.policies, throttle.limits()),
            config,
        }
    }
}
