//! Responses and an extractor for axum handlers that carry attributes such as `#[throttle]`.
//!
//! [`Error`] implements `IntoResponse`, so a handler may return `Result<_, premier::Error>`. The body
//! is a problem document of RFC 9457. The status is 429 with `Retry-After` for a call over its
//! limit, 503 when the store is down or a circuit breaker is open, and 504 for a timeout.
//!
//! A call over its limit also has the `RateLimit` fields of a [`ThrottleLayer`](crate::tower::ThrottleLayer). The
//! policy has the name of the [`Throttle`](crate::Throttle), and is called `default` for an attribute. The response
//! to an admitted call has none, because it is the handler's own.
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

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::error::Error;
use crate::integrations::tower::{peer, response_to, with_ip_key};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        response_to(self).map(Body::from)
    }
}

/// An extractor of the peer's IP address, to use as a key. `Display` writes an IPv6 address as its
/// /64 network, because a subscriber owns at least a /64.
///
/// The address comes from `ConnectInfo<SocketAddr>`: serve the router with
/// `into_make_service_with_connect_info`. Without it the address is `None`, and all requests share
/// the key `-`. Behind a proxy, the peer is the proxy; use
/// [`RequestKey::x_forwarded_for`](crate::tower::RequestKey::x_forwarded_for) there.
///
/// ```
/// use premier::axum::PeerIp;
///
/// let address = "2001:db8:1:2:3::4".parse().unwrap();
/// assert_eq!(PeerIp(Some(address)).to_string(), "2001:db8:1:2::/64");
/// assert_eq!(PeerIp(None).to_string(), "-");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerIp(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for PeerIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer(&parts.extensions)))
    }
}

impl fmt::Display for PeerIp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => with_ip_key(address, |text| formatter.write_str(text)),
            None => formatter.write_str("-"),
        }
    }
}
