//! The tower layer over real sockets, called by a real client.

mod behind_nginx;
mod charged_by_response;
mod charging;
mod construction;
mod grpc;
mod handlers;
mod headers;
mod keys;
mod missing_keys;
mod rate_limit_headers;
mod readiness;
mod replies;
mod retry_after_header;
mod services;
mod waiting;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use premier::clock::ManualClock;
use premier::tower::ThrottleLayer;
use premier::{Limit, MemoryHandler};
use premier_tests::waits::LONGEST;
use reqwest::{Client, StatusCode};
use tokio::net::TcpListener;

const MINUTE: Duration = Duration::from_secs(60);

/// Serves `app` by HTTP/1.1 and HTTP/2 on a free port. Returns its URL.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    format!("http://{address}")
}

/// A client whose requests have a limit of time; the error names the URL.
fn client() -> Client {
    Client::builder().timeout(LONGEST).build().unwrap()
}

/// Serves one route `/` behind a layer. Returns its URL and the clock of the layer.
async fn behind(layer: ThrottleLayer) -> (String, ManualClock) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let app = Router::new().route("/", any(async || "hello").layer(layer.with_config(handler)));
    (serve(app).await, clock)
}

fn header<'a>(reply: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    reply
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

async fn get_status(client: &Client, url: &str) -> StatusCode {
    client.get(url).send().await.unwrap().status()
}

fn one_a_minute() -> Limit {
    Limit::fixed_window(1, MINUTE)
}
