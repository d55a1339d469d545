//! Headers about a call that was decided while a request was handled.

use std::sync::Arc;

use http::header::HeaderMap;

use super::older_header::{X_RATELIMIT, add_three};
use super::rate_limit_header::{
    HeaderFormat, Policies, RateLimitStatus, delay_retry, status_numbers,
};
use crate::algorithms::Plan;
use crate::telemetry::collector::Collected;

/// The policy of an attribute, whose limit is named after a module and a function: responses do not reveal these.
const UNNAMED: &str = "default";

/// The headers about the decision of a limit that belongs to an annotated function or to a throttle.
pub(super) struct CallHeaders<'a> {
    policies: Policies,
    plans: &'a Arc<[Plan]>,
    /// `None` if several limits apply and the one that has denied the call is not known.
    status: Option<RateLimitStatus>,
}

impl<'a> CallHeaders<'a> {
    pub(super) fn new(decided: &'a Collected, format: HeaderFormat) -> Self {
        let Collected {
            name,
            plans,
            decision,
        } = decided;
        let name = if name.contains(':') { UNNAMED } else { name };
        Self {
            policies: Policies::new(name, &[], plans.len(), format),
            plans,
            status: decision.as_ref().map(RateLimitStatus::from),
        }
    }

    /// The names of the policies that have denied the call, if they are known.
    #[cfg(feature = "axum")]
    pub(super) fn violated(&self) -> Vec<Arc<str>> {
        let status = self.status.as_ref();
        status.map_or_else(Vec::new, |status| self.policies.violated(status))
    }

    /// Adds `RateLimit` and `RateLimit-Policy`. Raises a `Retry-After` that is too short for this limit.
    pub(super) fn add(&self, headers: &mut HeaderMap) {
        if let Some(status) = &self.status {
            delay_retry(headers, status);
        }
        self.policies.add(headers, self.plans, self.status.as_ref());
    }

    /// Adds `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    pub(super) fn add_older(&self, headers: &mut HeaderMap) {
        if let Some(status) = &self.status {
            add_three(headers, &X_RATELIMIT, status_numbers(status));
        }
    }
}
