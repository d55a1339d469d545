//! Helpers that the tests of premier share.

pub mod batching;
pub mod browser;
pub mod listener;
pub mod nginx;
pub mod old_proxy;
pub mod ports;
pub mod proxy;
pub mod redis;
pub mod settling_model;
pub mod waits;

use std::time::Duration;

use premier::clock::ManualClock;
use premier::testing::Scope;
use premier::{Limit, MemoryHandler, Throttle};

/// A throttle in memory, and the clock it uses.
#[must_use]
pub fn manual(limit: Limit) -> (ManualClock, Throttle) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    (clock, Throttle::new("test", limit).with_config(handler))
}

/// A scope with limits, caches and circuits of its own, and the clock it uses.
#[must_use]
pub fn scope() -> (Scope, ManualClock) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    (Scope::new(handler), clock)
}

/// Polls with cost 1 at each multiple of `step` below `end`. Returns the times of the admitted
/// polls.
///
/// # Panics
/// When a poll returns an error.
#[must_use]
pub fn admitted(limit: Limit, step: Duration, end: Duration) -> Vec<Duration> {
    let (clock, throttle) = manual(limit);
    let mut now = Duration::ZERO;
    let mut admitted = Vec::new();
    while now < end {
        clock.set(now);
        if throttle.check("k").expect("a poll failed").allowed {
            admitted.push(now);
        }
        now += step;
    }
    admitted
}
