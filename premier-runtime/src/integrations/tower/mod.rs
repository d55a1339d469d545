//! A [`Layer`](tower_layer::Layer) that limits HTTP and gRPC requests, for axum, tonic, hyper and
//! HTTP clients.
//!
//! ```
//! use premier::Limit;
//! use premier::tower::{RequestKey, ThrottleLayer};
//! use std::time::Duration;
//!
//! let minute = Duration::from_secs(60);
//! // A hundred requests per minute for each address, in bursts of up to twenty.
//! let api = ThrottleLayer::new("api", Limit::token_bucket(100, minute).burst(20))
//!     .key(RequestKey::peer_ip());
//!
//! // Five failed log-ins per minute; successful ones are refunded.
//! let login = ThrottleLayer::new("login", Limit::sliding_log(5, minute))
//!     .key(RequestKey::x_forwarded_for(1))
//!     .charge_if(|response| response.status == 401);
//! # let _ = (api, login);
//! ```
//!
//! # Responses
//!
//! | request | status | body | headers |
//! | --- | --- | --- | --- |
//! | admitted | from the service | from the service | `RateLimit`, `RateLimit-Policy` |
//! | denied | 429 | `application/problem+json` | `RateLimit`, `RateLimit-Policy`, `Retry-After` |
//! | the store is down, under [`OnBackendError::Deny`](crate::OnBackendError) | 503 | `application/problem+json` | `RateLimit-Policy`, `Retry-After` |
//! | the request lacks what its key needs, under [`MissingKey::Deny`] | 400 | `application/problem+json` | `RateLimit-Policy` |
//! | the server did not supply what the key needs | 500 | `application/problem+json` | `RateLimit-Policy` |
//!
//! Every response to a request that was not admitted has `Cache-Control: no-store`, so that no cache
//! answers other requests with it.
//!
//! A gRPC request is answered with the status `RESOURCE_EXHAUSTED` instead of 429 and `UNAVAILABLE`
//! instead of 503: a POST over HTTP/2 with the content type `application/grpc`, or one with a content type
//! of gRPC-Web.
//!
//! `Retry-After` is in whole seconds, rounded up and never 0. The `RateLimit` fields and the problem
//! types are those of [draft-ietf-httpapi-ratelimit-headers-11]; [`ThrottleLayer::header_format`] chooses an
//! older form. All times are in whole seconds, rounded up:
//!
//! | parameter | meaning |
//! | --- | --- |
//! | `r` | how many units can be used now, of the tightest limit |
//! | `t` | the time after which a client that has used these `r` units can use one more. `Retry-After` is never shorter. Absent if it is not known |
//! | `pk` | the key of the request, hashed, with [`ThrottleLayer::partition_keys`] |
//! | `w` | the time in which a used-up limit becomes full again: without a burst, its period |
//! | `q` | how many units the limit admits in `w`: without a burst, its quota |
//!
//! The only client of a key is never denied if it sends at most `r` requests of cost 1, and one more after `t`. It
//! may send all `r` at once.
//!
//! Nested layers each add their own item to `RateLimit`. Headers that can describe one limit only, such as
//! `X-RateLimit-Remaining`, describe the tightest of all limits, including those that the service itself reports.
//!
//! [`RateLimitHeadersLayer`] adds the headers to the responses of handlers that carry `#[throttle]`.
//!
//! [draft-ietf-httpapi-ratelimit-headers-11]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/

mod body;
mod call_headers;
mod charge;
mod client_address;
mod config;
mod decide;
mod forwarded;
mod future;
mod grpc;
mod headers_layer;
mod ip_key;
mod key;
mod key_text;
mod layer;
mod missing_key;
mod nat64;
mod older_header;
mod partition;
mod proxies;
mod rate_limit_header;
#[cfg(feature = "axum")]
mod refused_call;
mod reply;
mod respond;
mod service;

pub use self::body::ThrottleBody;
#[cfg(feature = "axum")]
pub(crate) use self::client_address::peer;
pub use self::future::ResponseFuture;
pub use self::headers_layer::{RateLimitHeaders, RateLimitHeadersFuture, RateLimitHeadersLayer};
#[cfg(feature = "axum")]
pub(crate) use self::ip_key::{IPV6_PREFIX, with_ip_key};
pub use self::key::RequestKey;
pub use self::layer::ThrottleLayer;
pub use self::missing_key::MissingKey;
#[cfg(feature = "axum")]
pub(crate) use self::missing_key::log_misconfigured;
pub use self::proxies::TrustedProxies;
pub use self::rate_limit_header::HeaderFormat;
#[cfg(feature = "axum")]
pub(crate) use self::refused_call::response_to;
pub use self::reply::Rejection;
pub use self::service::ThrottleService;
