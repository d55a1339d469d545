//! Buckets deep in debt by the machine's own clocks, which most of their calls do not read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Limit, limits, throttle};

const BURST: u64 = 200_000;

/// It owes up to 200 seconds.
#[throttle(algo = "token_bucket", rate = "1000/s", burst = 200_000)]
fn deep() {}

#[test]
fn a_bucket_gives_what_it_has_and_what_comes_in() {
    let admitted = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut mine = 0;
                while start.elapsed() < Duration::from_millis(500) {
                    mine += u64::from(deep().is_ok());
                }
                admitted.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    let most = BURST + u64::try_from(start.elapsed().as_millis()).unwrap() + 1;
    let admitted = admitted.into_inner();
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(admitted >= BURST + 499, "{admitted}");
}

#[throttle(algo = "token_bucket", rate = "1/s", burst = 1_000, name = "narrowed")]
fn narrowed() {}

#[test]
fn a_limit_that_changes_holds_at_the_next_call() {
    for _ in 0..500 {
        narrowed().unwrap();
    }
    let smaller = Limit::token_bucket(1, Duration::from_secs(1)).burst(100);
    assert_eq!(limits::set("deep_buckets:narrowed", smaller).unwrap(), 1);
    assert!(narrowed().is_err());
    limits::reset("deep_buckets:narrowed");
    for _ in 0..400 {
        narrowed().unwrap();
    }
}

#[throttle(algo = "token_bucket", rate = "1/h", burst = 1_000, name = "shared")]
fn large() {}

#[throttle(algo = "token_bucket", rate = "1/h", burst = 600, name = "shared")]
fn small() {}

#[test]
fn two_limits_of_one_state_are_each_their_own() {
    let admitted = |call: fn() -> Result<(), premier::Error>, calls: u64| {
        (0..calls).filter(|_| call().is_ok()).count()
    };
    assert_eq!(admitted(large, 500), 500);
    assert_eq!(admitted(small, 300), 100);
    assert_eq!(admitted(large, 300), 300);
    assert_eq!(admitted(large, 300), 100);
}
