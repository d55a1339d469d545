//! The Redis handler decides as memory does, stores nothing longer than it has to, and touches only
//! its own keys.

mod clearing;
mod connecting;
mod decisions;
mod eviction;
mod leases;
mod long_logs;
mod permissions;
mod storage;
mod tls;
mod waiting;

use std::time::Duration;

use premier::{Algo, Config};
use premier_tests::redis::Server;

const SECOND: Duration = Duration::from_secs(1);
const ALL: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::SlidingWindow,
    Algo::SlidingLog,
    Algo::TokenBucket,
    Algo::LeakyBucket,
];

fn config(server: &Server) -> Config {
    Config::new(server.handler())
}
