//! The server of `tests/connection_soak.rs`, in its own process because each has a limit of open
//! files.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use premier::Limit;
use premier::tower::{RequestKey, ThrottleLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let quota = std::env::args().nth(1).ok_or("which quota?")?.parse()?;
    let layer = ThrottleLayer::new(
        "many",
        Limit::fixed_window(quota, Duration::from_secs(3_600)),
    )
    .key(RequestKey::peer_ip());
    let app = Router::new().route("/", get(async || "ok")).layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}
