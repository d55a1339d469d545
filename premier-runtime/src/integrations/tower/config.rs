//! The options of a layer, and the state that the services of a layer share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, request, response};

use super::charge::Outcomes;
use super::key::RequestKey;
use super::missing_key::MissingKey;
use super::rate_limit_header::{HeaderFormat, Policies};
use super::reply::Rejection;
use crate::telemetry::Counted;
use crate::throttle::Throttle;

pub(super) type RequestFn<T> = Arc<dyn Fn(&request::Parts) -> T + Send + Sync>;
pub(super) type ResponseFn<T> = Arc<dyn Fn(&response::Parts) -> T + Send + Sync>;
pub(super) type ReplyFn = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(super) struct LayerConfig {
    pub(super) throttle: Throttle,
    pub(super) key: Option<RequestKey>,
    pub(super) missing_key: MissingKey,
    pub(super) cost: Option<RequestFn<u64>>,
    pub(super) skip: Option<RequestFn<bool>>,
    pub(super) charge: Option<ResponseFn<bool>>,
    /// The requests whose charge is not known yet.
    pub(super) outcomes: Arc<Outcomes>,
    /// How long a denied request waits for them.
    pub(super) outcome_wait: Duration,
    pub(super) reply: Option<ReplyFn>,
    pub(super) shadow: bool,
    pub(super) standard_headers: bool,
    pub(super) older_headers: bool,
    pub(super) header_format: HeaderFormat,
    pub(super) partition_keys: bool,
    pub(super) retry_jitter: Duration,
    pub(super) policies: Vec<Arc<str>>,
}

/// The options of a layer for which none was set.
impl From<Throttle> for LayerConfig {
    fn from(throttle: Throttle) -> Self {
        Self {
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
        }
    }
}

/// The options of a layer with the values derived from them, shared by all services of the layer.
pub(super) struct Shared {
    pub(super) config: LayerConfig,
    pub(super) policies: Policies,
    /// Whether an option is a function that takes the parts of a request.
    pub(super) needs_parts: bool,
    /// Whether it was logged that the server does not supply what the key needs.
    pub(super) has_warned: AtomicBool,
    /// Whether requests are never delayed.
    pub(super) never_waits: bool,
    /// Whether the response to an admitted request does not depend on the decision.
    pub(super) ignores_decision: bool,
    /// Whether the fast path may decide, because no response contains the numbers of a decision.
    pub(super) takes_fast_path: bool,
}

impl Shared {
    /// Registers the metrics that only layers have. No lock may be held.
    pub(super) fn register_metrics(&self) {
        let config = &self.config;
        if config.key.is_some() && config.missing_key == MissingKey::Deny && !config.shadow {
            Counted::NoKey.register(&Arc::from(config.throttle.name()));
        }
    }
}

impl From<LayerConfig> for Shared {
    fn from(config: LayerConfig) -> Self {
        let throttle = &config.throttle;
        let may_wait = throttle.max_wait().may_wait() || throttle.is_queue();
        let never_waits = config.shadow || !may_wait;
        let ignores_decision = config.charge.is_none()
            && !(config.standard_headers || config.older_headers || config.shadow);
        Self {
            never_waits,
            ignores_decision,
            takes_fast_path: ignores_decision && never_waits,
            needs_parts: config.skip.is_some()
                || config.cost.is_some()
                || config.key.as_ref().is_some_and(RequestKey::needs_parts),
            has_warned: AtomicBool::new(false),
            policies: Policies::new(
                throttle.name(),
                &config.policies,
                throttle.limits(),
                config.header_format,
            ),
            config,
        }
    }
}
