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
    };
    answer("application/json", Json(data))
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
        denied_keys: counts
            .denied_keys(keys)
            .into_iter()
            .map(|(key, count)| (EscapedKey(&key).to_string(), count))
            .collect(),
    }
}
