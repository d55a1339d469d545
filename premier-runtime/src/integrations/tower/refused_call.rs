//! The response to a call of an annotated function, or of a throttle, that was refused.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::call_headers::CallHeaders;
use super::rate_limit_header::HeaderFormat;
use super::reply::rejection_of;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::telemetry::collector::{self, Collected};

/// Returns the problem document of an error, with the rate-limit headers if a limit has denied the call. Where a
/// layer collects decisions, that layer adds the headers.
pub(crate) fn response_to(error: Error) -> Response<Bytes> {
    let Some(denied) = denied_by(&error) else {
        return rejection_of(error, Vec::new()).to_response();
    };
    let call = CallHeaders::new(&denied, HeaderFormat::default());
    let mut response = rejection_of(error, call.violated()).to_response();
    if !collector::is_open() {
        call.add(response.headers_mut());
        return response;
    }
    collector::collect(denied);
    response
}

/// Returns the limit that has denied a call, with its decision if that is known.
fn denied_by(error: &Error) -> Option<Collected> {
    let (Error::QuotaExceeded {
        function,
        key,
        retry_after,
        ..
    }
    | Error::BucketFull {
        function,
        key,
        retry_after,
        ..
    }) = error
    else {
        return None;
    };
    let limiter = overrides::limiter(function)?;
    Some(Collected {
        name: function.clone(),
        decision: decision(&limiter, key.as_deref(), *retry_after),
        plans: limiter.plans(),
    })
}

/// Returns the decision that has denied a call; `None` if several limits apply and the denying one is not known.
fn decision(limiter: &Limiter, key: Option<&str>, retry_after: Duration) -> Option<Decision> {
    let known = limiter.known_denial(key).map(|decision| Decision {
        retry_after: decision.retry_after.min(retry_after),
        ..decision
    });
    known.or_else(|| match &*limiter.plans() {
        [plan] => Some(Decision {
            allowed: false,
            retry_after,
            ..Decision::new(plan.capacity())
        }),
        _ => None,
    })
}
