//! The service of the example, used by its `main` and by tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use premier::axum::PeerIp;
use premier::dashboard::Dashboard;
use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
use premier::{Config, Limit, MemoryHandler, OnBackendError, RedisHandler, throttle};
use serde::{Deserialize, Serialize};

/// The command line of the service.
#[derive(Clone, Debug, clap::Parser)]
#[command(about)]
pub struct Options {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// Keep limits in this Redis, such as redis://127.0.0.1/, instead of in memory
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// A TOML file of limits, whose changes apply while the service runs
    #[arg(long, value_name = "FILE")]
    pub limits: Option<PathBuf>,
    /// The number of proxies in front of the service that append to X-Forwarded-For
    #[arg(long, default_value_t = 0)]
    pub trusted_hops: usize,
    /// How many keys of each limit, those denied most often, the dashboard shows
    #[arg(long, default_value_t = 0)]
    pub denied_keys: usize,
}

/// Configures premier and builds the router of the service.
///
/// # Errors
/// When an option is invalid, or when the process already has a metrics exporter.
pub fn app(options: &Options) -> Result<Router, Box<dyn std::error::Error>> {
    let config = match &options.redis {
        // While Redis is down, limit in memory instead of rejecting or admitting all requests.
        Some(url) => Config::new(RedisHandler::connect(url.as_str())?)
            .on_backend_error(OnBackendError::Memory),
        None => Config::new(MemoryHandler::new()),
    };
    let config = config.keyspace("web-api");
    // Before anything is recorded.
    let prometheus = prometheus()?;
    premier::config(match &options.limits {
        Some(file) => config.limits_file(file),
        None => config,
    })?;
    Ok(routes(options, prometheus))
}

fn routes(options: &Options, prometheus: PrometheusHandle) -> Router {
    let second = Duration::from_secs(1);
    let address = match options.trusted_hops {
        0 => RequestKey::peer_ip(),
        hops => RequestKey::x_forwarded_for(hops),
    };
    let per_address = ThrottleLayer::new("per address", Limit::token_bucket(5, second).burst(10))
        .key(address.clone());
    let per_user = ThrottleLayer::all(
        "search per user",
        &[
            Limit::token_bucket(5, second),
            Limit::token_bucket(100, 60 * second),
        ],
    )
    .policies(["burst", "sustained"])
    // A real service must authenticate its users before. Those without a name share one limit.
    .key(RequestKey::header("x-user"))
    .missing_key(MissingKey::Shared)
    .cost(|request| match request.uri.query() {
        Some(query) if query.contains("deep=true") => 5,
        _ => 1,
    });
    // Five failed log-ins per minute; successful ones are refunded.
    let log_in = ThrottleLayer::new("failed log-ins", Limit::sliding_log(5, 60 * second))
        .key(address)
        .charge_if(|response| response.status == StatusCode::UNAUTHORIZED);
    // A limit in shadow mode: it admits every request and counts those it would deny.
    let shadow = ThrottleLayer::new("reports, tried out", Limit::fixed_window(2, 60 * second))
        .key(RequestKey::matched_route())
        .shadow();
    Router::new()
        .route("/quote", get(quote).layer(per_address))
        .route("/search", get(search).layer(per_user))
        .route("/login", post(log_in_with).layer(log_in))
        .route("/reports/{year}", get(report).layer(shadow))
        .route("/export", get(export))
        .route("/metrics", get(async move || numbers(&prometheus)))
        .nest_service(
            "/premier",
            // A real service must put the dashboard behind its authentication.
            Dashboard::new().denied_keys(options.denied_keys).router(),
        )
}

/// The upper ends of the buckets of premier's histograms, in seconds. Metrics without buckets are summaries, which
/// cannot be added up over processes, and `grafana.json` would show nothing of them.
const BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Installs the exporter for Prometheus.
///
/// # Errors
/// When the process already has an exporter.
pub fn prometheus() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("premier".into()), &BUCKETS)?
        .install_recorder()
}

fn numbers(prometheus: &PrometheusHandle) -> String {
    prometheus.run_upkeep();
    prometheus.render()
}

async fn quote() -> &'static str {
    "Patience is also a form of action."
}

#[derive(Debug, Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Debug, Serialize)]
struct SearchResult {
    query: String,
    hits: Vec<String>,
}

async fn search(Query(Search { q }): Query<Search>) -> Json<SearchResult> {
    Json(SearchResult {
        hits: vec![format!("everything about {q}")],
        query: q,
    })
}

#[derive(Debug, Deserialize)]
struct Credentials {
    password: String,
}

async fn log_in_with(Json(credentials): Json<Credentials>) -> StatusCode {
    match &*credentials.password {
        "correct horse battery staple" => StatusCode::NO_CONTENT,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn report() -> &'static str {
    "a report"
}

/// An annotated handler needs no layer, because `premier::Error` implements `IntoResponse`.
#[throttle(rate = "2/min", algo = "sliding_log", key = peer)]
async fn export(peer: PeerIp) -> Result<String, premier::Error> {
    Ok(format!("everything, for {peer}"))
}
