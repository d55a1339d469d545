//! Responses and an extractor for axum handlers that carry attributes such as `#[throttle]`.
//!
//! [`Error`] implements `IntoResponse`, so a handler may return `Result<_, premier::Error>`. The body
//! is a problem document of RFC 9457. The status is 429 with `Retry-After` for a call over its
//! limit, 503 when the store is down or a circuit breaker is open, and 504 for a timeout.
//!
//! A call over its limit also has the `RateLimit` fields of a [`ThrottleLayer`](crate::tower::ThrottleLayer). The
//! policy has the name of the [`Throttle`](crate::Throttle), and is called `default` for an attribute. The response
//! to an admitted call has them where there is a [`RateLimitHeadersLayer`](crate::tower::RateLimitHeadersLayer).
//!
//! ```
//! use axum::routing::get;
//! use axum::{Json, Router};
//! use premier::axum::PeerIp;
//! use premier::throttle;
//!
//! /// Ten requests per minute for each address.
//! #[throttle(rate = "10/min", key = peer)]
//! async fn quote(peer: PeerIp) -> Result<Json<&'static str>, premier::Error> {
//!     Ok(Json("to be or not to be"))
//! }
//!
//! let app: Router = Router::new().route("/quote", get(quote));
//! # let _ = app;
//! ```

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::error::Error;
use crate::integrations::tower::{IPV6_PREFIX, log_misconfigured, peer, response_to, with_ip_key};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        response_to(self).map(Body::from)
    }
}

/// An extractor of the peer's IP address, to use as a key. `Display` writes an IPv6 address as its
/// /64 network, because a subscriber owns at least a /64, and one that contains an IPv4 address as the IPv4
/// address.
///
/// The address comes from `ConnectInfo<SocketAddr>`: serve the router with
/// `into_make_service_with_connect_info`. Without it a request is answered with 500 and
/// [`Error::Config`], which is logged once as a warning; `Option<PeerIp>` is then `None` instead.
/// Behind a proxy, the peer is the proxy; use
/// [`RequestKey::x_forwarded_for`](crate::tower::RequestKey::x_forwarded_for) there.
///
/// ```
/// use premier::axum::PeerIp;
///
/// let peer = PeerIp("2001:db8:1:2:3::4".parse().unwrap());
/// assert_eq!(peer.to_string(), "2001:db8:1:2::/64");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerIp(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for PeerIp {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        static HAS_WARNED: AtomicBool = AtomicBool::new(false);

        peer(&parts.extensions).map(Self).ok_or_else(|| {
            let error = Error::config(
                "PeerIp found no address of the peer of a request: serve the router with \
                 into_make_service_with_connect_info::<SocketAddr>(), or take Option<PeerIp>",
            );
            if !HAS_WARNED.swap(true, Ordering::Relaxed) {
                log_misconfigured("PeerIp", &error);
            }
            error
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for PeerIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(peer(&parts.extensions).map(Self))
    }
}

impl fmt::Display for PeerIp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_ip_key(self.0, IPV6_PREFIX, &[], |text| formatter.write_str(text))
    }
}
