//! One of several processes that serve the dashboard behind one address. Prints its URL, and then makes as many
//! calls of one limit as the argument says.

use std::time::Duration;

use premier::dashboard::Dashboard;
use premier::{Limit, Throttle};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let calls: u64 = std::env::args()
        .nth(1)
        .and_then(|calls| calls.parse().ok())
        .expect("a number of calls");
    let throttle = Throttle::new(
        "replicated",
        Limit::fixed_window(100, Duration::from_secs(3_600)),
    );
    for _ in 0..calls {
        throttle.acquire("k").expect("the limit admits a hundred");
    }
    let app = axum::Router::new().merge(Dashboard::new().router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("it serves");
}
