//! `#[cache]` in memory: which values are kept, for how long, and which caller computes them. Time
//! is virtual.
#![forbid(unsafe_code)]

macro_rules! counter {
    ($name:ident) => {
        static $name: AtomicU32 = AtomicU32::new(0);
    };
}

mod failures;
mod invalidation;
mod keys;
mod single_flight;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{MemoryHandler, cache};
use premier_tests::scope;
use premier_tests::waits::{done, within};
use tokio::sync::Notify;
use tokio::task;

/// The clock of the process, which stands still: a test that moves time has a scope of its own.
static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build()).unwrap();
    clock
});

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
struct Failure(u32);

async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

fn next(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

#[test]
fn values_are_kept_for_their_ttl_and_errors_are_never_kept() {
    counter!(CALLS);
    #[cache(ttl = 1_000_000)]
    fn odd(key: u32) -> Result<u32, Failure> {
        let call = next(&CALLS);
        if call.is_multiple_of(2) {
            Err(Failure(key))
        } else {
            Ok(call)
        }
    }
    let (scope, clock) = scope();
    scope.run(|| {
        assert_eq!(odd(1), Ok(1));
        assert_eq!(odd(1), Ok(1));
        assert_eq!(odd(2), Err(Failure(2)));
        assert_eq!(odd(2), Ok(3));
        assert_eq!(odd(1), Ok(1));
        clock.advance(1_000_000 * SECOND);
        assert_eq!(odd(1), Err(Failure(1)));
        assert_eq!(odd(1), Ok(5));
    });
}

#[test]
fn with_only_some_a_none_is_not_kept() {
    counter!(CALLS);
    #[cache(only_some)]
    fn find(id: u32) -> Result<Option<u32>, Failure> {
        let call = next(&CALLS);
        Ok((call > 1).then_some(call + id))
    }
    LazyLock::force(&CLOCK);
    assert_eq!(find(0), Ok(None));
    assert_eq!(find(0), Ok(Some(2)));
    assert_eq!(find(0), Ok(Some(2)));
}

#[test]
fn the_capacity_bounds_the_number_of_values() {
    counter!(CALLS);
    #[cache(capacity = 10)]
    fn load(id: u32) -> u32 {
        next(&CALLS);
        id
    }
    LazyLock::force(&CLOCK);
    for _ in 0..3 {
        for id in 0..1_000 {
            assert_eq!(load(id), id);
        }
    }
    assert!(CALLS.load(Ordering::SeqCst) > 2_000);
}

#[tokio::test]
async fn while_one_caller_renews_a_stale_value_others_receive_the_stale_value() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    static FAILS: AtomicBool = AtomicBool::new(false);
    #[cache(ttl = 1_000_000_000, stale = 30_000_000)]
    async fn load() -> Result<u32, Failure> {
        let call = next(&CALLS);
        RELEASE.notified().await;
        if FAILS.load(Ordering::SeqCst) {
            return Err(Failure(call));
        }
        Ok(call)
    }
    let (scope, clock) = scope();
    let call = || scope.run_async(load());
    RELEASE.notify_one();
    assert_eq!(within("a value is loaded", call()).await, Ok(1));
    clock.advance(1_000_000_000 * SECOND);
    let renews = task::spawn(call());
    settle().await;
    assert_eq!(within("a value is loaded", call()).await, Ok(1));
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    // Renewing fails, so the stale value is returned.
    FAILS.store(true, Ordering::SeqCst);
    RELEASE.notify_one();
    assert_eq!(done("the renewing call ends", renews).await, Ok(1));
    FAILS.store(false, Ordering::SeqCst);
    RELEASE.notify_one();
    assert_eq!(within("a value is loaded", call()).await, Ok(3));
    // The value is now too old to be returned.
    clock.advance(1_030_000_000 * SECOND);
    FAILS.store(true, Ordering::SeqCst);
    RELEASE.notify_one();
    assert_eq!(within("a value is loaded", call()).await, Err(Failure(4)));
}

#[test]
fn a_ttl_may_be_unlimited() {
    #[cache(ttl = Duration::MAX)]
    fn forever(key: u32) -> u32 {
        key
    }
    #[cache(ttl = "200000d", stale = "200000d")]
    fn nearly(key: u32) -> u32 {
        key
    }
    LazyLock::force(&CLOCK);
    assert_eq!((forever(1), forever(1), nearly(2), nearly(2)), (1, 1, 2, 2));
}
