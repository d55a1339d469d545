//! The response to a call of an annotated function, or of a throttle, that was refused.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::HeaderMap;

use super::rate_limit_header::{HeaderFormat, Policies, RateLimitStatus};
use super::reply::rejection_of;
use crate::error::Error;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::store::request::Operation;

/// The policy of an attribute, whose limit is named after a module and a function: responses do not reveal these.
const UNNAMED: &str = "default";

/// Returns the problem document of an error, with the rate-limit headers if a limit has denied the call.
pub(crate) fn response_to(error: Error) -> Response<Bytes> {
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
    }) = &error
    else {
        return rejection_of(error, Vec::new()).to_response();
    };
    let Some(limiter) = overrides::limiter(function) else {
        return rejection_of(error, Vec::new()).to_response();
    };
    let name = if function.contains(':') {
        UNNAMED
    } else {
        &**function
    };
    let plans = limiter.plans();
    let policies = Policies::new(name, &[], plans.len(), HeaderFormat::default());
    let status = status(
        &limiter,
        key.as_deref(),
        *retry_after,
        policies.are_several(),
    );
    let violated = status.as_ref().map(|status| policies.violated(status));
    let mut response = rejection_of(error, violated.unwrap_or_default()).to_response();
    let headers: &mut HeaderMap = response.headers_mut();
    policies.add(headers, &plans, status.as_ref());
    response
}

/// What is left of the limit that has denied a call; `None` if it is not known which of several it is.
fn status(
    limiter: &Limiter,
    key: Option<&str>,
    retry_after: Duration,
    are_several: bool,
) -> Option<RateLimitStatus> {
    if limiter.is_immediate()
        && let Ok(decision) = limiter.handle(key, Operation::Peek(1))
        && !decision.allowed
    {
        return Some(RateLimitStatus::from(&decision).within(retry_after));
    }
    let plans = limiter.plans();
    let plan = plans.first().filter(|_| !are_several)?;
    Some(RateLimitStatus::used_up(plan.capacity(), retry_after))
}
