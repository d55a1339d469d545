//! The response to a request that is not admitted.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::rate_limit_header::{Quoted, whole_seconds};
use crate::error::Error;

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
        // Room for a policy or two: growing took a sixth of the time of a denied request.
        let mut json = String::with_capacity(320);
        for part in [
            "{\"type\":\"",
            kind,
            "\",\"title\":\"",
            &title,
            "\",\"status\":",
            self.status.as_str(),
        ] {
            json.push_str(part);
        }
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

    /// Adds up to `longest` to the time after which the request can succeed.
    pub(super) fn delay_at_random(&mut self, longest: Duration) {
        if let Some(retry_after) = &mut self.retry_after
            && !longest.is_zero()
        {
            *retry_after = retry_after.saturating_add(longest.mul_f64(fastrand::f64()));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
