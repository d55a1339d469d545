//! What an axum handler needs for `#[throttle]` and its like.
//!
//! [`Error`] is a response: 429 with `Retry-After` and a problem of RFC 9457 for a refused call, 503
//! when the store is down or a breaker open, 504 for a call that took too long.
//!
//! ```
//! use axum::routing::get;
//! use axum::{Json, Router};
//! use premier::axum::PeerIp;
//! use premier::throttle;
//!
//! /// Ten a minute for each address.
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
use crate::integrations::tower::{peer, rejection_of, with_subscriber};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        rejection_of(self, Vec::new()).to_response().map(Body::from)
    }
}

/// The address of the peer as a key: displayed, an IPv6 address is its /64.
///
/// From `ConnectInfo<SocketAddr>`: serve with `into_make_service_with_connect_info`. Without it all
/// requests share the key `-`. Behind a proxy it is the proxy's; see
/// [`RequestKey::x_forwarded_for`](crate::tower::RequestKey::x_forwarded_for).
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
            Some(address) => with_subscriber(address, |text| formatter.write_str(text)),
            None => formatter.write_str("-"),
        }
    }
}
