//! With a retry budget of a tenth, a total outage multiplies the traffic by at most 1.1.

use std::sync::atomic::{AtomicU32, Ordering};

use premier::clock::ManualClock;
use premier::{Config, MemoryHandler, RetryBudget, retry};

static CALLS: AtomicU32 = AtomicU32::new(0);

#[retry(max = 5, base = "1s")]
fn outage() -> Result<(), &'static str> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    Err("down")
}

#[test]
fn a_total_outage_increases_the_calls_by_a_tenth() {
    let clock = ManualClock::auto_advancing();
    let handler = MemoryHandler::builder().clock(clock).build();
    premier::config(Config::new(handler).retry_budget(RetryBudget::new(0.1))).unwrap();
    for _ in 0..10_000 {
        assert_eq!(outage(), Err("down"));
    }
    let calls = CALLS.load(Ordering::Relaxed);
    assert!((10_990..=11_000).contains(&calls), "{calls}");
}
