//! Throttles that stand together on one function decide as one: all admit a call, or nothing is taken.
#![forbid(unsafe_code)]
#![expect(
    clippy::await_holding_lock,
    reason = "each test has a runtime of its own, on its own thread"
)]

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use premier::{Error, throttle};
use premier_tests::waits::{finishes, received, sleepers};

use super::alone;

const SECOND: Duration = Duration::from_secs(1);

/// Polls a future once.
fn is_pending<T>(future: Pin<&mut impl Future<Output = T>>) -> bool {
    future
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// The name of the limit that refused, without its module.
fn refused_by<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::QuotaExceeded { function, .. } | Error::BucketFull { function, .. }) => {
            function.rsplit(':').next().unwrap_or_default().to_owned()
        }
        other => panic!("{other:?} is not a refusal"),
    }
}

#[test]
fn a_call_that_the_second_refuses_has_not_spent_the_first() {
    #[throttle(name = "inner_refuses.own", quota = 2, duration = "1h", key = user)]
    #[throttle(name = "inner_refuses.all", quota = 3, duration = "1s")]
    fn send(user: &str) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let clock = alone();
    send("noisy").unwrap();
    send("noisy").unwrap();
    send("third").unwrap();
    for _ in 0..5 {
        assert_eq!(refused_by(send("alice")), "inner_refuses.all");
    }
    clock.advance(SECOND);
    send("alice").unwrap();
    send("alice").unwrap();
    assert_eq!(refused_by(send("alice")), "inner_refuses.own");
    // Nor has the refusal by the first spent the second.
    send("bob").unwrap();
    assert_eq!(refused_by(send("carol")), "inner_refuses.all");
}

#[tokio::test]
async fn async_functions_decide_as_one_too() {
    #[throttle(name = "async.own", quota = 1, duration = "1h", keymaker = |user: &str| user.to_owned())]
    #[throttle(name = "async.all", quota = 1, duration = "1s")]
    async fn send(user: &str) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let clock = alone();
    send("noisy").await.unwrap();
    assert_eq!(refused_by(send("alice").await), "async.all");
    clock.advance(SECOND);
    send("alice").await.unwrap();
    assert_eq!(refused_by(send("alice").await), "async.own");
}

#[tokio::test]
async fn functions_that_return_futures_decide_as_one_too() {
    #[throttle(name = "future.own", quota = 1, duration = "1h", key = user)]
    #[throttle(name = "future.all", quota = 1, duration = "1s")]
    fn send(user: u32) -> impl Future<Output = Result<(), Error>> {
        let _ = user;
        async { Ok(()) }
    }
    let clock = alone();
    send(1).await.unwrap();
    assert_eq!(refused_by(send(2).await), "future.all");
    clock.advance(SECOND);
    send(2).await.unwrap();
    assert_eq!(refused_by(send(2).await), "future.own");
}

#[test]
fn each_throttle_has_its_own_cost_and_its_own_substitute() {
    #[throttle(name = "own.calls", quota = 2, duration = "1h", on_reject = |_| "calls")]
    #[throttle(name = "own.bytes", quota = 10, duration = "1h", cost = size, on_reject = |_| "bytes")]
    #[throttle(name = "own.users", quota = 1, duration = "1h", key = "{user}", on_reject = |_| "users")]
    fn upload(user: u8, size: u64) -> &'static str {
        "done"
    }
    let _clock = alone();
    assert_eq!(upload(1, 6), "done");
    assert_eq!(upload(2, 6), "bytes");
    assert_eq!(upload(1, 4), "users");
    assert_eq!(upload(2, 4), "done");
    assert_eq!(upload(3, 0), "calls");
}

#[test]
fn a_cost_that_no_limit_can_admit_takes_nothing_from_the_others() {
    #[throttle(name = "beyond.first", quota = 1, duration = "1h")]
    #[throttle(name = "beyond.second", quota = 5, duration = "1h", cost = cost)]
    fn upload(cost: u64) -> Result<(), Error> {
        Ok(())
    }
    let _clock = alone();
    let refused = upload(6).unwrap_err();
    assert!(
        matches!(
            &refused,
            Error::CostExceedsCapacity {
                cost: 6,
                capacity: 5,
                ..
            }
        ),
        "{refused:?}"
    );
    upload(5).unwrap();
}

#[test]
fn an_attribute_between_two_throttles_separates_them() {
    #[throttle(name = "apart.outer", quota = 1, duration = "1h")]
    #[premier::timeout(60)]
    #[throttle(name = "apart.inner", quota = 1, duration = "1h", key = user)]
    async fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let _clock = alone();
    let sent = finishes("the calls", || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(async { (send(1).await, send(1).await) })
    });
    sent.0.unwrap();
    assert_eq!(refused_by(sent.1), "apart.outer");
}

#[test]
fn a_call_waits_for_the_throttle_that_may_wait_and_holds_the_others() {
    #[throttle(name = "waits.all", quota = 2, duration = "1h")]
    #[throttle(name = "waits.paced", quota = 1, duration = "10s", wait = "1m")]
    fn send() -> Result<(), Error> {
        Ok(())
    }
    let clock = alone();
    send().unwrap();
    let (done, results) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || done.send(send()).unwrap());
    sleepers(&clock, 1);
    assert_eq!(
        refused_by(send()),
        "waits.all",
        "the waiting call holds its unit"
    );
    clock.advance(10 * SECOND);
    received("the call that waits", &results).unwrap();
    waiting.join().unwrap();
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_gives_everything_back() {
    #[throttle(name = "dropped.all", quota = 2, duration = "1h")]
    #[throttle(name = "dropped.paced", quota = 1, duration = "10s", wait = "1m")]
    async fn send() -> Result<(), Error> {
        Ok(())
    }
    let clock = alone();
    send().await.unwrap();
    {
        let mut waiting = std::pin::pin!(send());
        assert!(is_pending(waiting.as_mut()));
    }
    clock.advance(10 * SECOND);
    send().await.unwrap();
    assert_eq!(refused_by(send().await), "dropped.all");
}

#[tokio::test]
async fn a_denial_after_a_wait_gives_everything_back() {
    #[throttle(name = "late.all", quota = 2, duration = "1h")]
    #[throttle(name = "late.paced", quota = 1, duration = "10s", wait = "1s")]
    async fn send() -> Result<(), Error> {
        Ok(())
    }
    let clock = alone();
    send().await.unwrap();
    assert_eq!(
        refused_by(send().await),
        "late.paced",
        "10 s are too long to wait"
    );
    clock.advance(10 * SECOND);
    send().await.unwrap();
}

#[tokio::test]
async fn a_call_waits_for_the_slots_of_two_queues_at_the_same_time() {
    #[throttle(
        name = "slots.first",
        algo = "leaky_bucket",
        quota = 1,
        duration = "10s",
        bucket_size = 5
    )]
    #[throttle(
        name = "slots.second",
        algo = "leaky_bucket",
        quota = 1,
        duration = "10s",
        bucket_size = 5
    )]
    async fn send() -> Result<(), Error> {
        Ok(())
    }
    let clock = alone();
    send().await.unwrap();
    let mut waiting = std::pin::pin!(send());
    assert!(is_pending(waiting.as_mut()));
    clock.advance(10 * SECOND);
    assert!(!is_pending(waiting.as_mut()));
}

#[test]
fn an_invalid_argument_of_one_is_the_error_and_takes_nothing() {
    #[throttle(name = "invalid.first", quota = 1, duration = "1h")]
    #[throttle(name = "invalid.second", quota = 1, duration = "1h", cost = cost)]
    fn send(cost: i64) -> Result<(), Error> {
        Ok(())
    }
    let _clock = alone();
    assert!(matches!(send(-1), Err(Error::Config { .. })));
    send(1).unwrap();
}

/// The units are fewer than the calls, and each call asks for a user of its own.
#[test]
fn threads_get_every_unit_and_no_more() {
    #[throttle(name = "threads.user", quota = 1, duration = "1h", key = user)]
    #[throttle(name = "threads.all", quota = 500, duration = "1h")]
    fn send(user: u32) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    let _clock = alone();
    let sent = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sent = &sent;
            scope.spawn(move || {
                // Every user is asked for by two threads.
                for user in 0..1_000 {
                    if send(user + thread / 2 * 1_000).is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(sent.into_inner(), 500);
}

#[test]
fn a_named_throttle_is_one_limit_wherever_it_stands() {
    #[throttle(name = "named.own", quota = 9, duration = "1h")]
    #[throttle(name = "named.all", quota = 3, duration = "1h")]
    fn send() -> Result<(), Error> {
        Ok(())
    }
    #[throttle(name = "named.all", quota = 3, duration = "1h")]
    fn receive() -> Result<(), Error> {
        Ok(())
    }
    let _clock = alone();
    send().unwrap();
    receive().unwrap();
    send().unwrap();
    assert_eq!(refused_by(receive()), "named.all");
    assert_eq!(refused_by(send()), "named.all");
}

#[test]
fn two_throttles_of_one_name_on_a_function_are_two_limits() {
    #[throttle(name = "twice", quota = 1, duration = "1s")]
    #[throttle(name = "twice", quota = 2, duration = "1h")]
    fn send() -> Result<(), Error> {
        Ok(())
    }
    let clock = alone();
    send().unwrap();
    assert_eq!(refused_by(send()), "twice");
    clock.advance(SECOND);
    send().unwrap();
    clock.advance(SECOND);
    assert_eq!(refused_by(send()), "twice#2");
}
