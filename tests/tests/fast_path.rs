//! Limits without a key by the machine's own clocks, where their shortest ways differ: buckets deep in
//! debt, most of whose calls do not read the precise clock, and queues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Limit, limits, throttle};
use premier_tests::waits::until_denied;

const BURST: u64 = 200_000;

/// It owes up to 200 seconds.
#[throttle(algo = "token_bucket", rate = "1000/s", burst = 200_000)]
fn deep() {}

#[test]
fn a_bucket_gives_what_it_has_and_what_comes_in() {
    let begin = Instant::now();
    deep().unwrap();
    let start = Instant::now();
    let admitted = AtomicU64::new(1);
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
    let milliseconds_since =
        |instant: Instant| u64::try_from(instant.elapsed().as_millis()).unwrap();
    let before = milliseconds_since(start);
    let mut admitted = admitted.into_inner();
    admitted += until_denied("a deep bucket", || deep().is_ok());
    let (least, most) = (BURST + before, BURST + milliseconds_since(begin) + 1);
    assert!(
        (least..=most).contains(&admitted),
        "{admitted}, not {least} to {most}"
    );
}

#[throttle(algo = "token_bucket", rate = "1/s", burst = 1_000, name = "narrowed")]
fn narrowed() {}

#[test]
fn a_limit_that_changes_holds_at_the_next_call() {
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
fn two_limits_of_one_state_are_each_their_own() {
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

/// Its slots are closer than what others wait on the spot.
#[test]
fn a_queue_makes_nobody_wait_who_would_not() {
    let refused = (0..100_000).filter(|_| impatient().is_err()).count();
    assert!(refused > 0);
}
