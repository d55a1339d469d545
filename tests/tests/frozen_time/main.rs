//! Tests that share one configuration of the process, whose clock stands still. A test that moves time has a
//! scope or a handler of its own.
#![forbid(unsafe_code)]

mod annotated_headers;
mod instances;
mod keyed_breakers_and_permits;
mod refusals;

use std::sync::LazyLock;

use premier::MemoryHandler;
use premier::clock::ManualClock;

/// Configures the process at the first call.
fn freeze_time() {
    static IS_CONFIGURED: LazyLock<()> = LazyLock::new(|| {
        let handler = MemoryHandler::builder().clock(ManualClock::new()).build();
        premier::config(handler).unwrap();
    });
    LazyLock::force(&IS_CONFIGURED);
}
