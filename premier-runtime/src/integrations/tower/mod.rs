//! Limits for HTTP: a [`Layer`](tower_layer::Layer) for axum, tonic, hyper and clients.
//!
//! ```
//! use premier::Limit;
//! use premier::tower::{RequestKey, ThrottleLayer};
//! use std::time::Duration;
//!
//! let minute = Duration::from_secs(60);
//! // A hundred requests a minute for each address, bursts of twenty.
//! let api = ThrottleLayer::new("api", Limit::token_bucket(100, minute).burst(20))
//!     .key(RequestKey::peer_ip());
//!
//! // Five failed log-ins a minute; those that succeed cost nothing.
//! let login = ThrottleLayer::new("login", Limit::sliding_log(5, minute))
//!     .key(RequestKey::x_forwarded_for(1))
//!     .charge_if(|response| response.status == 401);
//! # let _ = (api, login);
//! ```
//!
//! # What a client sees
//!
//! | | status | body | headers |
//! | --- | --- | --- | --- |
//! | admitted | the service's | the service's | `RateLimit`, `RateLimit-Policy` |
//! | denied | 429 | `application/problem+json` | the same and `Retry-After` |
//! | the store is down, under [`OnBackendError::Deny`](crate::OnBackendError) | 503 | the same | `Retry-After` |
//!
//! A gRPC client is answered with `RESOURCE_EXHAUSTED` and `UNAVAILABLE` instead.
//!
//! `Retry-After` is in whole seconds, rounded up and never 0. The `RateLimit` fields and the problem
//! types are those of [draft-ietf-httpapi-ratelimit-headers-11]; `t` is how long it takes until
//! everything is there again, and of a denied request until it would be admitted. A `w` is in whole
//! seconds, and where the period is not, `q` is what such a window admits.
//!
//! [draft-ietf-httpapi-ratelimit-headers-11]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/

mod body;
mod config;
mod forwarded;
mod key;
mod layer;
mod reply;
mod service;

pub use self::body::ThrottleBody;
pub use self::key::RequestKey;
#[cfg(feature = "axum")]
pub(crate) use self::key::{peer, with_subscriber};
pub use self::layer::ThrottleLayer;
pub use self::reply::Rejection;
#[cfg(feature = "axum")]
pub(crate) use self::reply::rejection_of;
pub use self::service::{ResponseFuture, ThrottleService};
