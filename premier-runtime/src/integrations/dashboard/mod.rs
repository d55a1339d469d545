//! A live page of every limit in this process, to be nested in an axum router.
//!
//! The page shows how many units each limit admits and denies per second and in total, whether the
//! store can be reached, and optionally which keys are denied most often. The page is read-only and
//! loads nothing from other hosts, which its content security policy enforces. It has no
//! authentication: **mount it behind your own**, or on a port that only you can reach.
//!
//! ```
//! use axum::Router;
//! use premier::dashboard::Dashboard;
//!
//! let app: Router = Router::new().nest("/premier", Dashboard::new().router());
//! # let _ = app;
//! ```

use axum::extract::{OriginalUri, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

#[cfg(feature = "cache")]
use crate::attributes::cache::cache_sizes;
use crate::attributes::circuit_breaker::breakers;
use crate::attributes::concurrency::{PermitStatus, permits};
use crate::error::EscapedKey;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::store::outage::outage_calls;
use crate::telemetry::counts::{Totals, keep_keys};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Builds the router of the dashboard.
///
/// Defaults: no keys are shown.
///
/// ```
/// use axum::Router;
/// use premier::dashboard::Dashboard;
///
/// let dashboard = Dashboard::new().denied_keys(10).router();
/// let app: Router = Router::new().nest("/premier", dashboard);
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Dashboard {
    keys: usize,
}

impl Dashboard {
    /// Creates a dashboard that shows no keys.
    ///
    /// ```
    /// let router: axum::Router = premier::dashboard::Dashboard::new().router();
    /// # let _ = router;
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the `most` keys of each limit that are denied most often, at most 64. Default: 0.
    ///
    /// Denials are counted per key from this call on. Keys can be personal data, and everyone who can
    /// open the page sees them.
    ///
    /// ```
    /// let dashboard = premier::dashboard::Dashboard::new().denied_keys(10);
    /// # let _ = dashboard;
    /// ```
    #[must_use]
    pub fn denied_keys(mut self, most: usize) -> Self {
        self.keys = most;
        if most > 0 {
            keep_keys();
        }
        self
    }

    /// Builds the router, which can be nested into a router with any state type.
    ///
    /// ```
    /// use premier::dashboard::Dashboard;
    ///
    /// let app: axum::Router = axum::Router::new().nest("/premier", Dashboard::new().router());
    /// # let _ = app;
    /// ```
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/", get(page))
            .route("/dashboard.js", get(script))
            .route("/dashboard.css", get(style))
            .route("/icon.svg", get(icon))
            .route("/data", get(data))
            .with_state(self)
    }
}

fn answer(kind: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

async fn page(OriginalUri(uri): OriginalUri) -> Response {
    // The page links to its files by absolute paths, which work with and without a trailing slash.
    let under = escape(uri.path().trim_end_matches('/'));
    let page = include_str!("page.html").replace("{under}", &under);
    answer("text/html; charset=utf-8", Html(page))
}

async fn script() -> Response {
    answer(
        "text/javascript; charset=utf-8",
        include_str!("dashboard.js"),
    )
}

async fn style() -> Response {
    answer("text/css; charset=utf-8", include_str!("dashboard.css"))
}

async fn icon() -> Response {
    answer("image/svg+xml", include_str!("icon.svg"))
}

/// Escapes a text for an HTML attribute in double quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

#[derive(Serialize)]
struct Data {
    limits: Vec<LimitData>,
    outages: OutageData,
    breakers: Vec<BreakerData>,
    permits: Vec<PermitData>,
    #[cfg(feature = "cache")]
    caches: Vec<CacheData>,
    /// `None` if there is no limits file.
    #[cfg(feature = "limits-file")]
    limits_file: Option<FileData>,
}

#[derive(Serialize)]
struct BreakerData {
    function: &'static str,
    /// `closed`, `half_open` or `open`; `None` for a breaker with keys.
    state: Option<&'static str>,
}

#[derive(Serialize)]
struct PermitData {
    function: &'static str,
    /// How many calls of each key may run.
    limit: u64,
    /// How many run, under all keys.
    in_use: u64,
    waiting: u64,
}

#[cfg(feature = "cache")]
#[derive(Serialize)]
struct CacheData {
    function: &'static str,
    entries: usize,
}

#[cfg(feature = "limits-file")]
#[derive(Serialize)]
struct FileData {
    applied: u64,
    /// Why the file, as it is now, is not in force.
    error: Option<String>,
    /// What was changed last.
    changes: Vec<String>,
    /// The names that no limit has had.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct LimitData {
    name: String,
    algo: &'static str,
    limits: Vec<String>,
    store: &'static str,
    /// Whether the store can be reached; `None` for a store that does not report it.
    up: Option<bool>,
    admitted: u64,
    denied: u64,
    shadow_denied: u64,
    failed: u64,
    /// How many calls wait now.
    waiting: u64,
    /// How many keys the memory of this process keeps, and how many it may keep.
    keys: usize,
    max_keys: usize,
    denied_keys: Vec<(String, u64)>,
}

#[derive(Serialize)]
struct OutageData {
    allowed: u64,
    denied: u64,
    in_memory: u64,
}

async fn data(State(dashboard): State<Dashboard>) -> Response {
    let calls = outage_calls();
    let data = Data {
        limits: overrides::limiters()
            .iter()
            .map(|limiter| limit_data(limiter, dashboard.keys))
            .collect(),
        outages: OutageData {
            allowed: calls.allowed,
            denied: calls.denied,
            in_memory: calls.in_memory,
        },
        breakers: breakers()
            .into_iter()
            .map(|(function, state)| BreakerData { function, state })
            .collect(),
        permits: permits().into_iter().map(permit_data).collect(),
        #[cfg(feature = "cache")]
        caches: cache_sizes()
            .into_iter()
            .map(|(function, entries)| CacheData { function, entries })
            .collect(),
        #[cfg(feature = "limits-file")]
        limits_file: overrides::file_status().map(file_data),
    };
    answer("application/json", Json(data))
}

fn permit_data(status: PermitStatus) -> PermitData {
    PermitData {
        function: status.function,
        limit: status.limit,
        in_use: status.in_use,
        waiting: status.waiting,
    }
}

#[cfg(feature = "limits-file")]
fn file_data(status: overrides::FileStatus) -> FileData {
    FileData {
        applied: status.applied,
        error: status.error.map(|error| error.to_string()),
        changes: status.changes.iter().map(ToString::to_string).collect(),
        unknown: status.unknown.iter().map(ToString::to_string).collect(),
    }
}

fn limit_data(limiter: &Limiter, keys: usize) -> LimitData {
    let counts = &limiter.telemetry().counts;
    let Totals {
        admitted,
        denied,
        shadow_denied,
        failed,
    } = counts.totals();
    let limits = limiter.limits();
    let (store, up) = limiter.store();
    let (keys_in_memory, max_keys) = limiter.keys();
    LimitData {
        name: limiter.name().to_string(),
        algo: limits.first().map_or("", |limit| limit.algo().as_str()),
        limits: limits.iter().map(|limit| limit.to_string()).collect(),
        store,
        up,
        admitted,
        denied,
        shadow_denied,
        failed,
        waiting: limiter.waiting(),
        keys: keys_in_memory,
        max_keys,
        denied_keys: counts
            .denied_keys(keys)
            .into_iter()
            .map(|(key, count)| (EscapedKey(&key).to_string(), count))
            .collect(),
    }
}
