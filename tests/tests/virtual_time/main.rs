//! Tests that share one configuration of the process and move its clock, one test at a time.
#![forbid(unsafe_code)]

mod bounded_calls;
mod breaker_rules;
mod key_expressions;
mod throttles_together;
mod waiting_for_permits;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use premier::MemoryHandler;
use premier::clock::ManualClock;

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build()).unwrap();
    clock
});

/// Waits until no other test uses the clock of the process, and returns it. The tests also count the callers that
/// sleep on it, and the workers of timeouts.
fn alone() -> MutexGuard<'static, ManualClock> {
    static TURN: LazyLock<Mutex<ManualClock>> = LazyLock::new(|| Mutex::new(CLOCK.clone()));
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
