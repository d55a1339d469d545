//! A web API with limits per address, user and route.
//!
//! ```sh
//! cargo run -p web_api -- --denied-keys 10
//! curl -i localhost:3000/quote          # five requests per second for each address
//! open http://localhost:3000/premier    # the dashboard
//! curl localhost:3000/metrics           # metrics for Prometheus
//! ```

use std::net::SocketAddr;

use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use web_api::Options;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "premier=info".into());
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer())
        .with(levels.parse::<Targets>()?)
        .init();
    let options = Options::parse();
    let app = web_api::app(&options)?;
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    println!("the limits at http://{}/premier", listener.local_addr()?);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            // Without signal handling, the service runs until the process is killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    Ok(())
}
