//! `max_waiting`: how many calls wait at a time. One more fails at once.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Error, Limit, Throttle, concurrency, throttle};
use premier_tests::waits::{done, eventually, sleepers};
use premier_tests::{manual, scope};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn assert_too_many<T: std::fmt::Debug>(called: Result<T, Error>, key: Option<&str>, most: u64) {
    match called {
        Err(Error::TooManyWaiting {
            key: of,
            max_waiting,
            ..
        }) => assert_eq!((of.as_deref(), max_waiting), (key, most)),
        other => panic!("{other:?}"),
    }
}

fn wait(clock: &ManualClock, throttle: &Throttle, key: &'static str) -> JoinHandle<()> {
    let (before, throttle) = (clock.sleepers(), throttle.clone());
    let task = tokio::spawn(async move { throttle.acquire_async(key).await.map(drop).unwrap() });
    sleepers(clock, before + 1);
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_may_wait_for_a_limit_fails_at_once() {
    for limit in [
        Limit::token_bucket(1, SECOND),
        Limit::leaky_bucket(1, SECOND),
        Limit::fixed_window(1, SECOND),
        Limit::sliding_log(1, SECOND),
    ] {
        let (clock, throttle) = manual(limit);
        let throttle = throttle.wait().max_waiting(2);
        throttle.acquire("a").unwrap();
        let first = wait(&clock, &throttle, "a");
        throttle.acquire("b").unwrap();
        let _second = wait(&clock, &throttle, "b");
        let owed = throttle.peek("a").unwrap();
        for key in ["a", "b"] {
            assert_too_many(throttle.acquire(key), Some(key), 2);
            assert_too_many(throttle.acquire_async(key).await, Some(key), 2);
        }
        assert_eq!(throttle.peek("a").unwrap(), owed, "nothing is taken");
        // A call that need not wait is admitted.
        throttle.acquire("c").unwrap();
        // One that leaves makes room.
        first.abort();
        eventually("the caller is gone", || clock.sleepers() == 1);
        let third = wait(&clock, &throttle, "a");
        clock.advance(SECOND);
        done("the third caller", third).await;
        let _fourth = wait(&clock, &throttle, "a");
    }
}

#[tokio::test]
async fn a_call_waits_for_its_slot_of_a_leaky_bucket_only_if_one_more_may_wait() {
    let (_clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(10));
    let throttle = throttle.max_waiting(0);
    throttle.acquire("k").unwrap();
    assert_too_many(throttle.acquire("k"), Some("k"), 0);
    assert_eq!(
        throttle.peek("k").unwrap().reset_after,
        SECOND,
        "its slot is given back"
    );
}

#[test]
fn an_attribute_takes_the_number_of_calls_that_may_wait() {
    #[throttle(name = "crowd", rate = "1/h", key = user, wait, max_waiting = most())]
    async fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    fn most() -> u64 {
        1
    }
    let (scope, clock) = scope();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(scope.run_async(send(1))).unwrap();
    let waiter = runtime.spawn(scope.run_async(send(1)));
    sleepers(&clock, 1);
    let refused = runtime.block_on(scope.run_async(send(1)));
    assert_too_many(refused, Some("1"), 1);
    waiter.abort();
}

#[tokio::test]
async fn one_call_more_than_may_wait_for_a_permit_fails_at_once() {
    #[concurrency(limit = 1, key = host, wait, max_waiting = 1)]
    async fn fetch(host: &'static str, end: oneshot::Receiver<()>) -> Result<(), Error> {
        let _ = (host, end.await);
        Ok(())
    }
    let call = |host| {
        let (end, ended) = oneshot::channel();
        (end, tokio::spawn(fetch(host, ended)))
    };
    let settle = || async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    };
    let (end_first, first) = call("a");
    let (end_second, second) = call("a");
    settle().await;
    let (_end, refused) = call("a");
    assert_too_many(done("the third call", refused).await, Some("a"), 1);
    // All keys count together; a call that gets a permit does not wait.
    let (end_other, other) = call("b");
    settle().await;
    let (_end, refused) = call("b");
    assert_too_many(
        done("the second call of the other key", refused).await,
        Some("b"),
        1,
    );
    end_first.send(()).unwrap();
    done("the first call", first).await.unwrap();
    settle().await;
    let (end_third, third) = call("a");
    for end in [end_second, end_other, end_third] {
        end.send(()).unwrap();
    }
    for call in [second, other, third] {
        done("a call", call).await.unwrap();
    }
}
