//! Rate-limit headers, and the response to a request that is not admitted.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The values of a decision that appear in headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimitStatus {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// The time until the full quota is available again; for a denied request, until it would be
    /// admitted.
    pub(super) after: Duration,
}

impl From<&Decision> for RateLimitStatus {
    fn from(decision: &Decision) -> Self {
        Self {
            limit: decision.limit,
            remaining: decision.remaining,
            after: match decision.allowed {
                true => decision.reset_after,
                false => decision.retry_after,
            },
        }
    }
}

/// Why a request was not admitted. Passed to the function of
/// [`ThrottleLayer::reply`](super::ThrottleLayer::reply).
///
/// ```
/// use premier::Limit;
/// use premier::tower::ThrottleLayer;
/// use std::time::Duration;
///
/// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
///     .reply(|rejection| {
///         let mut reply = rejection.to_response();
///         *reply.body_mut() = format!("rejected: {}", rejection.error).into();
///         reply
///     });
/// # let _ = layer;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Rejection {
    /// The status of the response: 429 over a limit, 503 when the store, a circuit breaker or a bound
    /// on keys or concurrent calls rejects the request, 504 for a timeout, 400 for a cost above the
    /// capacity of the limit and for a request that lacks what its key needs, and 500 for an invalid
    /// configuration.
    pub status: StatusCode,
    /// The error.
    pub error: Error,
    /// How long until the same request can succeed, where that is known.
    pub retry_after: Option<Duration>,
    /// The names of the policies that the request exceeds. Empty unless the status is 429.
    pub violated_policies: Vec<Arc<str>>,
}

/// Returns the rejection for an error. `policies` are the policies that the request exceeds if the
/// error is about a limit.
pub(crate) fn rejection_of(error: Error, policies: Vec<Arc<str>>) -> Rejection {
    let (status, retry_after) = match &error {
        Error::QuotaExceeded { .. } | Error::BucketFull { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, error.retry_after())
        }
        Error::CircuitOpen { .. } => (StatusCode::SERVICE_UNAVAILABLE, error.retry_after()),
        Error::Backend { .. }
        | Error::ConcurrencyExceeded { .. }
        | Error::TooManyKeys { .. }
        | Error::TooManyWaiting { .. } => {
            // The end of the outage is unknown: suggest the shortest wait the header can express.
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(Duration::from_secs(1)),
            )
        }
        Error::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
        Error::CostExceedsCapacity { .. } | Error::MissingKey { .. } => {
            (StatusCode::BAD_REQUEST, None)
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
    };
    Rejection {
        violated_policies: match status {
            StatusCode::TOO_MANY_REQUESTS => policies,
            _ => Vec::new(),
        },
        status,
        error,
        retry_after,
    }
}

impl Rejection {
    /// Builds the default response: a problem document of RFC 9457 with `Retry-After`, which no cache may
    /// store.
    ///
    /// The response does not reveal the key, the function or the store. It names the header that a request
    /// lacks.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let (kind, title) = match self.status {
            StatusCode::TOO_MANY_REQUESTS => (
                "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "Request cannot be satisfied as assigned quota has been exceeded",
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
                "Request cannot be satisfied due to temporary server capacity constraints",
            ),
            StatusCode::BAD_REQUEST => ("about:blank", "Request exceeds what can ever be admitted"),
            status => ("about:blank", status.canonical_reason().unwrap_or("Error")),
        };
        let title: Cow<'_, str> = match &self.error {
            // The name of a header is a token, which JSON strings contain as it is.
            Error::MissingKey { missing, .. } => format!("Request lacks {missing}").into(),
            _ => title.into(),
        };
        // As long as most documents, so that it grows once only.
        let mut json = String::with_capacity(256);
        let _ = write!(
            json,
            "{{\"type\":\"{kind}\",\"title\":\"{title}\",\"status\":{}",
            self.status.as_u16()
        );
        if !self.violated_policies.is_empty() {
            json.push_str(",\"violated-policies\":[");
            for (index, policy) in self.violated_policies.iter().enumerate() {
                // Header strings and JSON strings of printable ASCII are quoted alike.
                let comma = if index > 0 { "," } else { "" };
                let _ = write!(json, "{comma}{}", Quoted(policy));
            }
            json.push(']');
        }
        json.push('}');
        let mut response = Response::new(Bytes::from(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        self.add_common_headers(headers);
        response
    }

    /// Adds `Retry-After` and `Cache-Control: no-store`, unless the headers already have them.
    ///
    /// The refusal of one request must not answer another one, so no cache may keep it.
    pub(super) fn add_common_headers(&self, headers: &mut HeaderMap) {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        if let Some(retry_after) = self.retry_after {
            headers
                .entry(RETRY_AFTER)
                .or_insert_with(|| HeaderValue::from(whole_seconds(retry_after).max(1)));
        }
    }
}

/// Returns the duration in seconds, rounded up so that waiting that long is enough.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// The names of a layer's policies, and the cached `RateLimit-Policy` header.
#[derive(Debug)]
pub(crate) struct Policies {
    names: Vec<Arc<str>>,
    /// The names as quoted strings for headers.
    quoted: Vec<String>,
    /// The header and the plans it was built from. It is built again when the limits change.
    header: RwLock<Option<(Arc<[Plan]>, HeaderValue)>>,
}

impl Policies {
    /// Uses the `given` names, and the layer's name with a number for limits that have none.
    pub(crate) fn new(layer: &str, given: &[Arc<str>], limits: usize) -> Self {
        let names: Vec<Arc<str>> = (0..limits.max(1))
            .map(|index| match (given.get(index), index) {
                (Some(name), _) => Arc::clone(name),
                (None, 0) => Arc::from(layer),
                (None, index) => Arc::from(format!("{layer}-{}", index + 1)),
            })
            .collect();
        Self {
            quoted: names.iter().map(|name| Quoted(name).to_string()).collect(),
            names,
            header: RwLock::default(),
        }
    }

    /// Returns the index of the policy that a decision reports: the one whose capacity is the
    /// decision's limit.
    fn tightest(&self, plans: &[Plan], status: &RateLimitStatus) -> usize {
        if self.names.len() < 2 {
            return 0;
        }
        let index = plans
            .iter()
            .position(|plan| plan.capacity() == status.limit);
        index.filter(|index| *index < self.names.len()).unwrap_or(0)
    }

    pub(super) fn violated(&self, plans: &[Plan], status: &RateLimitStatus) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.names[self.tightest(plans, status)])]
    }

    /// Returns all names, for a rejection without a decision.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.names.clone()
    }

    /// Adds `RateLimit-Policy`, and `RateLimit` if there is a decision.
    pub(super) fn add_standard(
        &self,
        headers: &mut HeaderMap,
        plans: &Arc<[Plan]>,
        status: Option<&RateLimitStatus>,
    ) {
        if let Some(status) = status {
            let mut item = Vec::with_capacity(48);
            item.extend_from_slice(self.quoted[self.tightest(plans, status)].as_bytes());
            item.extend_from_slice(b";r=");
            push_number(&mut item, status.remaining);
            item.extend_from_slice(b";t=");
            push_number(&mut item, whole_seconds(status.after));
            if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(item)) {
                headers.append(RATELIMIT, value);
            }
        }
        headers.append(RATELIMIT_POLICY, self.cached_header(plans));
    }

    fn cached_header(&self, plans: &Arc<[Plan]>) -> HeaderValue {
        let known = self.header.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, header)) = &*known
            && Arc::ptr_eq(of, plans)
        {
            return header.clone();
        }
        drop(known);
        let header = self.policy_header(plans);
        let known = Some((Arc::clone(plans), header.clone()));
        *self.header.write().unwrap_or_else(PoisonError::into_inner) = known;
        header
    }

    fn policy_header(&self, plans: &[Plan]) -> HeaderValue {
        let mut list = String::new();
        for (plan, name) in plans.iter().zip(&self.quoted) {
            let separator = if list.is_empty() { "" } else { ", " };
            let (quota, window) = quota_and_window(plan);
            let _ = write!(list, "{separator}{name};q={quota};w={window}");
        }
        HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Adds the `X-RateLimit` headers, which describe the tightest limit. The reset is in seconds from
/// now.
pub(super) fn add_older(headers: &mut HeaderMap, decision: &RateLimitStatus) {
    let reset = whole_seconds(decision.after);
    headers.insert(X_LIMIT, HeaderValue::from(decision.limit));
    headers.insert(X_REMAINING, HeaderValue::from(decision.remaining));
    headers.insert(X_RESET, HeaderValue::from(reset));
}

/// Appends a number in decimal, faster than `write!`.
fn push_number(to: &mut Vec<u8>, number: u64) {
    Subject::Number(number).with_text(|digits| to.extend_from_slice(digits.as_bytes()));
}

/// Returns the parameters `q` and `w` of a policy: the period rounded up to whole seconds, and how
/// many units the limit admits in that time.
fn quota_and_window(plan: &Plan) -> (u64, u64) {
    const SECOND: u128 = 1_000_000_000;
    let (quota, period) = (u128::from(plan.limit().quota()), u128::from(plan.period()));
    let window = period.div_ceil(SECOND);
    let quota = quota * window * SECOND / period;
    (
        u64::try_from(quota).unwrap_or(u64::MAX),
        u64::try_from(window).unwrap_or(u64::MAX),
    )
}

/// Writes a quoted string that is valid both in structured fields (RFC 9651) and in JSON. Characters
/// other than printable ASCII become `?`.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => {
                    formatter.write_char('\\')?;
                    formatter.write_char(c)?;
                }
                ' '..='~' => formatter.write_char(c)?,
                _ => formatter.write_char('?')?,
            }
        }
        formatter.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::quota::Limit;

    fn plans(limits: &[Limit]) -> Vec<Plan> {
        limits
            .iter()
            .map(|limit| Plan::new(*limit).unwrap())
            .collect()
    }

    fn seconds_of(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// From the examples of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4 and appendix B.
    #[test]
    fn headers_are_those_of_the_draft() {
        let daily = Limit::fixed_window(1_000, seconds_of(86_400));
        let plans = plans(&[Limit::fixed_window(100, seconds_of(60)), daily]);
        let policies = Policies::new("x", &["burst".into(), "daily".into()], 2);
        let decision = RateLimitStatus {
            limit: 100,
            remaining: 50,
            after: seconds_of(29) + Duration::from_nanos(1),
        };
        let mut headers = HeaderMap::new();
        policies.add_standard(&mut headers, &plans.into(), Some(&decision));
        assert_eq!(headers["ratelimit"], "\"burst\";r=50;t=30");
        assert_eq!(
            headers["ratelimit-policy"],
            "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400"
        );
    }

    #[test]
    fn windows_are_whole_seconds_and_quotas_what_they_admit() {
        for (quota, period, expected) in [
            (10, Duration::from_secs(1), (10, 1)),
            (5, Duration::from_millis(500), (10, 1)),
            (3, Duration::from_millis(1_500), (4, 2)),
            (1_000_000_000, Duration::from_secs(1), (1_000_000_000, 1)),
        ] {
            let plan = Plan::new(Limit::token_bucket(quota, period)).unwrap();
            assert_eq!(quota_and_window(&plan), expected);
        }
    }

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(Quoted("a\"b\\c\nd é").to_string(), "\"a\\\"b\\\\c?d ?\"");
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_0() {
        for (wait, expected) in [
            (Duration::from_nanos(1), "1"),
            (Duration::ZERO, "1"),
            (Duration::from_secs(5), "5"),
            (Duration::new(5, 1), "6"),
        ] {
            let error = Error::QuotaExceeded {
                function: "f".into(),
                key: None,
                retry_after: wait,
            };
            let response = rejection_of(error, vec!["p".into()]).to_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()["retry-after"], expected);
        }
    }
}
