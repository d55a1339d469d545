//! Makes many requests through a layer, for callgrind to count their instructions:
//!
//! ```sh
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*counted_calls*' \
//!     target/release/examples/layer premier
//! ```
//!
//! With a second argument it prints the time of a request instead: nanoseconds in the fastest of 60 rounds.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use benches::ready;
use premier::Limit;
use premier::tower::{RequestKey, ThrottleLayer};
use tower::{Layer, Service};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

const CALLS: usize = 1_000;
/// How many calls are timed at once.
const ROUND: u32 = 40_000;

fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// The name by which callgrind knows what to count.
#[inline(never)]
fn counted_calls(mut call: impl FnMut()) {
    for _ in 0..CALLS {
        call();
    }
}

fn count<T>(mut call: impl FnMut() -> T) {
    for _ in 0..3 {
        black_box(call());
    }
    if std::env::args().nth(2).is_some() {
        let fastest = (0..60).map(|_| round(&mut call)).min();
        let picoseconds = fastest.map_or(0, |round| round.as_nanos() * 1_000 / u128::from(ROUND));
        println!("{:.1}", picoseconds as f64 / 1_000.0);
        return;
    }
    counted_calls(|| {
        black_box(call());
    });
}

fn round<T>(call: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..ROUND {
        black_box(call());
    }
    start.elapsed()
}

fn main() {
    let service = tower::service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let full = Limit::token_bucket(1_000_000_000, Duration::from_secs(1));
    let shut = Limit::token_bucket(1, Duration::from_secs(86_400));
    let premier = |limit, headers| {
        ThrottleLayer::new("layer", limit)
            .key(RequestKey::peer_ip())
            .headers(headers)
            .layer(service)
    };
    macro_rules! peer {
        ($builder:ident => $with:expr) => {{
            let mut $builder = GovernorConfigBuilder::default();
            $builder
                .period(Duration::from_nanos(1))
                .burst_size(1_000_000_000);
            GovernorLayer::new($with.finish().expect("valid")).layer(service)
        }};
    }
    let mut bare = service;
    let mut peer = peer!(builder => builder);
    let mut peer_with = peer!(builder => builder.use_headers());
    let through = |limit, headers| {
        let mut layer = premier(limit, headers);
        count(move || ready(layer.call(request())).is_ok());
    };
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "none" => count(|| ready(bare.call(request())).is_ok()),
        "tower_governor" => count(|| ready(peer.call(request())).is_ok()),
        "tower_governor_headers" => count(|| ready(peer_with.call(request())).is_ok()),
        "premier" => through(full, false),
        "premier_headers" => through(full, true),
        "premier_denied" => through(shut, false),
        "premier_denied_headers" => through(shut, true),
        other => panic!("nothing is called {other:?}"),
    }
}
