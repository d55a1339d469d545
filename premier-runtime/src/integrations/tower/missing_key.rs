//! Requests that lack what their key needs.

use std::sync::Arc;

use http::header::HeaderName;

use crate::error::Error;

/// What happens to a request that lacks what the key of its [`ThrottleLayer`](super::ThrottleLayer)
/// needs, such as a header or the address of its peer.
///
/// Default: [`MissingKey::Deny`].
///
/// ```
/// use premier::Limit;
/// use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
/// use std::time::Duration;
///
/// let layer = ThrottleLayer::new("api", Limit::token_bucket(10, Duration::from_secs(1)))
///     .key(RequestKey::header("x-api-key"))
///     .missing_key(MissingKey::Shared);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum MissingKey {
    /// Refuse the request: with 400 and [`Error::MissingKey`](crate::Error::MissingKey) if the client did not
    /// send what the key needs, such as a header; with 500 and [`Error::Config`](crate::Error::Config) if the
    /// server did not supply it, such as the address of the peer. The latter is logged once, as a warning that
    /// says how to fix it.
    #[default]
    Deny,
    /// All such requests share one limit: the missing part of the key is `-`.
    Shared,
    /// Pass the request on without a decision. Clients evade the limit by leaving out what the key needs.
    Skip,
}

/// The part of a key that a request lacks.
#[derive(Clone, Copy, Debug)]
pub(super) enum MissingPart<'a> {
    /// The server did not supply the address of the peer.
    PeerAddress,
    /// The layer is around axum's router, which then has not matched a route yet.
    #[cfg(feature = "axum")]
    Route,
    Header(&'a HeaderName),
    /// The function of the key returned `None`.
    Value,
}

impl MissingPart<'_> {
    /// The error of a request that is refused. `name` is that of the layer.
    pub(super) fn error(self, name: &Arc<str>) -> Error {
        let missing = match self {
            Self::PeerAddress => return config_error(name, "address of the peer", ADDRESS_FIX),
            #[cfg(feature = "axum")]
            Self::Route => return config_error(name, "matched route", ROUTE_FIX),
            Self::Header(header) => format!("the header {header}").into(),
            Self::Value => Arc::from("the value that its limit is keyed by"),
        };
        Error::MissingKey {
            function: Arc::clone(name),
            missing,
        }
    }
}

const ADDRESS_FIX: &str = "serve an axum router with into_make_service_with_connect_info::<SocketAddr>(), \
    put the peer's SocketAddr into the extensions of requests, or say with RequestKey::peer_from where it \
    is. ThrottleLayer::missing_key chooses what happens otherwise";

#[cfg(feature = "axum")]
const ROUTE_FIX: &str = "add the layer to the router (Router::layer or route_layer), not around it. \
    ThrottleLayer::missing_key chooses what happens otherwise";

fn config_error(name: &str, what: &str, fix: &str) -> Error {
    Error::config(format!("{name} found no {what} of a request: {fix}"))
}

/// Logs that a server lacks what all requests need, if the feature `tracing` is enabled.
pub(crate) fn log_misconfigured(name: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", limit = name, %error, "requests are refused for lack of a key");
    #[cfg(not(feature = "tracing"))]
    let _ = (name, error);
}
