//! Calls that leave together are decided as if each had come alone, and cost the server less.
#![forbid(unsafe_code)]

mod batches;
mod denials;
mod exactness;
mod monitor;
mod neighbours;
mod numbers;
mod outages;

use std::sync::OnceLock;
use std::time::Duration;

use premier_tests::redis::Server;

const SECOND: Duration = Duration::from_secs(1);

/// A server for the tests that need none of their own. Each uses names of its own.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}
