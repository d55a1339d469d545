//! Limits without a key on the system's clocks, which take the fast path: buckets with a large
//! burst, limits that change, and queues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Limit, limits, throttle};
use premier_tests::waits::until_denied;

const BURST: u64 = 200_000;

/// Its debt is at most 200 s.
#[throttle(algo = "token_bucket", rate = "1000/s", burst = 200_000)]
fn large_burst() {}

#[test]
fn a_bucket_admits_its_burst_and_its_refill() {
    let begin = Instant::now();
    // A bucket that is full refills no further, so it must not be full while the threads start.
    const FIRST: u64 = 50_000;
    for _ in 0..FIRST {
        large_burst().unwrap();
    }
    let start = Instant::now();
    let admitted = AtomicU64::new(FIRST);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut mine = 0;
                while start.elapsed() < Duration::from_millis(500) {
                    mine += u64::from(large_burst().is_ok());
                }
                admitted.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    let milliseconds_since =
        |instant: Instant| u64::try_from(instant.elapsed().as_millis()).unwrap();
    let before = milliseconds_since(start);
    let mut admitted = admitted.into_inner();
    admitted += until_denied("a bucket with a large burst", || large_burst().is_ok());
    let (least, most) = (BURST + before, BURST + milliseconds_since(begin) + 1);
    assert!(
        (least..=most).contains(&admitted),
        "{admitted}, not {least} to {most}"
    );
}

#[throttle(algo = "token_bucket", rate = "1/s", burst = 1_000, name = "narrowed")]
fn narrowed() {}

#[test]
fn a_changed_limit_applies_to_the_next_call() {
    for _ in 0..500 {
        narrowed().unwrap();
    }
    let smaller = Limit::token_bucket(1, Duration::from_secs(1)).burst(100);
    assert_eq!(limits::set("fast_path:narrowed", smaller).unwrap(), 1);
    assert!(narrowed().is_err());
    limits::reset("fast_path:narrowed");
    for _ in 0..400 {
        narrowed().unwrap();
    }
}

#[throttle(algo = "token_bucket", rate = "1/h", burst = 1_000, name = "shared")]
fn large() {}

#[throttle(algo = "token_bucket", rate = "1/h", burst = 600, name = "shared")]
fn small() {}

#[test]
fn two_limits_with_one_state_each_apply_their_own_values() {
    let admitted = |call: fn() -> Result<(), premier::Error>, calls: u64| {
        (0..calls).filter(|_| call().is_ok()).count()
    };
    assert_eq!(admitted(large, 500), 500);
    assert_eq!(admitted(small, 300), 100);
    assert_eq!(admitted(large, 300), 300);
    assert_eq!(admitted(large, 300), 100);
}

#[throttle(algo = "leaky_bucket", rate = "1500000/s", wait = Duration::ZERO)]
fn impatient() {}

/// Its slots are closer together than the time that waiting callers may spin.
#[test]
fn a_call_with_a_maximum_wait_of_zero_never_waits() {
    let refused = (0..100_000).filter(|_| impatient().is_err()).count();
    assert!(refused > 0);
}
