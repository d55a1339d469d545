//! Every ordered pair of the six attributes on one function, and each attribute twice, sync and
//! async. The first attribute is outermost. Each test shows a difference between the two orders.
//! Time is virtual.
#![forbid(unsafe_code)]

mod running;

use std::fmt::Debug;
use std::sync::atomic::AtomicU32;

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

use Seen::{Busy, Denied, Failed, Okay, Open, TimedOut};
use What::{Fail, FailOnce, Good, Hold, Slow, SlowOnce};
use running::{Failure, Scene, Seen, Shape, What, alone};

type Orders = [(&'static str, [Shape; 2]); 2];

/// Functions with `a` around `b` and with `b` around `a`, sync and async.
macro_rules! orders {
    ($a:tt $b:tt) => {{
        orders!(@ first_sync first_async $a $b);
        orders!(@ second_sync second_async $b $a);
        let orders: Orders = [
            (
                "in this order",
                [
                    Shape::Sync(first_sync),
                    Shape::Async(|calls, what, key| Box::pin(first_async(calls, what, key))),
                ],
            ),
            (
                "the other way round",
                [
                    Shape::Sync(second_sync),
                    Shape::Async(|calls, what, key| Box::pin(second_async(calls, what, key))),
                ],
            ),
        ];
        orders
    }};
    (@ $sync:ident $asynchronous:ident [$($outer:tt)*] [$($inner:tt)*]) => {
        $($outer)*
        $($inner)*
        fn $sync(calls: &'static AtomicU32, what: What, key: u32) -> Result<u32, Failure> {
            let _ = key;
            running::work(calls, what)
        }

        $($outer)*
        $($inner)*
        async fn $asynchronous(
            calls: &'static AtomicU32,
            what: What,
            key: u32,
        ) -> Result<u32, Failure> {
            let _ = key;
            running::work_async(calls, what).await
        }
    };
}

/// Asserts what `scenario` observes for each order, sync and async.
fn compare<T: Debug + PartialEq>(
    orders: Orders,
    expected: [T; 2],
    scenario: impl Fn(&mut Scene) -> T,
) {
    let _turn = alone();
    for ((order, shapes), expected) in orders.into_iter().zip(expected) {
        for shape in shapes {
            let seen = scenario(&mut Scene::new(shape));
            assert_eq!(seen, expected, "{order}, {shape:?}");
        }
    }
}

#[test]
fn a_hit_of_a_cache_around_a_throttle_takes_no_quota() {
    let orders =
        orders!([#[cache(keymaker = |_, _, key| *key)]] [#[throttle(quota = 1, duration = 10)]]);
    compare(orders, [[Okay(1), Okay(1)], [Okay(1), Denied]], |scene| {
        [scene.seen(Good, 1), scene.seen(Good, 1)]
    });
}

/// The second call arrives while the first waits for its next attempt. With the cache outside, it
/// waits for that attempt. With the cache inside, no computation is in progress and it starts one.
#[test]
fn callers_of_a_cache_around_a_retry_wait_for_the_retries() {
    let orders = orders!([#[cache(keymaker = |_, _, key| *key)]] [#[retry(strategy = "fixed", base = 10, max = 2)]]);
    compare(orders, [(Okay(2), 10), (Okay(2), 0)], |scene| {
        let first = scene.start(FailOnce, 1);
        let second = scene.timed(FailOnce, 1);
        assert_eq!(scene.finish(first), Okay(2));
        assert_eq!(scene.count(), 2);
        second
    });
}

/// The second call waits for the first, which times out. A timeout outside the cache ends the wait
/// too. A timeout inside gives the second call its own time.
#[test]
fn the_next_caller_of_a_cache_around_a_timeout_has_its_own_time() {
    let orders = orders!([#[cache(keymaker = |_, _, key| *key)]] [#[timeout("2500ms")]]);
    compare(orders, [Okay(2), TimedOut], |scene| {
        let first = scene.start(SlowOnce(10), 1);
        let second = scene.start(SlowOnce(10), 1);
        assert_eq!(scene.finish(first), TimedOut);
        scene.finish(second)
    });
}

#[test]
fn a_cache_around_a_circuit_breaker_returns_hits_while_the_breaker_is_open() {
    let orders = orders!([#[cache(keymaker = |_, _, key| *key)]]
        [#[circuit_breaker(failures = 2, within = "1m", open_for = "1h")]]);
    compare(orders, [[Okay(1), Open], [Open, Open]], |scene| {
        assert_eq!(scene.seen(Good, 1), Okay(1));
        for _ in 0..2 {
            assert_eq!(scene.seen(Fail, 2), Failed);
        }
        [scene.seen(Good, 1), scene.seen(Good, 3)]
    });
}

#[test]
fn a_cache_around_a_concurrency_limit_returns_hits_while_all_permits_are_taken() {
    let orders = orders!([#[cache(keymaker = |_, _, key| *key)]] [#[concurrency(limit = 1)]]);
    compare(orders, [[Okay(1), Busy], [Busy, Busy]], |scene| {
        assert_eq!(scene.seen(Good, 1), Okay(1));
        scene.start(Hold, 2);
        [scene.seen(Good, 1), scene.seen(Good, 3)]
    });
}

#[test]
fn each_attempt_of_a_retry_around_a_throttle_takes_quota() {
    let orders = orders!([#[retry(strategy = "fixed", base = 1, max = 3, on = Failure::Own)]]
        [#[throttle(quota = 2, duration = 60)]]);
    compare(orders, [(Denied, 2), (Failed, 3)], |scene| {
        (scene.seen(Fail, 1), scene.count())
    });
}

#[test]
fn each_attempt_of_a_retry_around_a_timeout_has_its_own_time() {
    let orders = orders!([#[retry(strategy = "fixed", base = 2, max = 3, on = Failure::Own)]]
        [#[timeout("2500ms")]]);
    compare(orders, [((Failed, 4), 3), ((TimedOut, 2), 2)], |scene| {
        (scene.timed(Fail, 1), scene.count())
    });
}

#[test]
fn each_attempt_of_a_retry_around_a_circuit_breaker_counts_as_a_failure() {
    let orders = orders!([#[retry(strategy = "fixed", base = 1, max = 3, on = Failure::Own)]]
        [#[circuit_breaker(failures = 2, within = "1m", open_for = "1h")]]);
    compare(orders, [(Open, 2, Open), (Failed, 3, Okay(4))], |scene| {
        (scene.seen(Fail, 1), scene.count(), scene.seen(Good, 1))
    });
}

#[test]
fn a_retry_around_a_concurrency_limit_tries_again_to_take_a_permit() {
    let orders =
        orders!([#[retry(strategy = "fixed", base = 1, max = 3)]] [#[concurrency(limit = 1)]]);
    compare(orders, [(Busy, 2), (Busy, 0)], |scene| {
        scene.start(Hold, 2);
        scene.timed(Good, 1)
    });
}

#[test]
fn the_wait_of_a_throttle_around_a_timeout_does_not_time_out() {
    let orders = orders!([#[throttle(quota = 1, duration = 10, wait)]] [#[timeout("2500ms")]]);
    compare(orders, [(Okay(2), 10), (TimedOut, 2)], |scene| {
        assert_eq!(scene.seen(Good, 1), Okay(1));
        scene.timed(Good, 1)
    });
}

#[test]
fn a_throttle_around_a_circuit_breaker_charges_calls_that_the_breaker_rejects() {
    let orders = orders!([#[throttle(quota = 3, duration = 60)]]
        [#[circuit_breaker(failures = 2, within = "1m", open_for = "1h", on = Failure::Own)]]);
    compare(orders, [[Open, Denied], [Open, Open]], |scene| {
        for _ in 0..2 {
            assert_eq!(scene.seen(Fail, 1), Failed);
        }
        [scene.seen(Good, 1), scene.seen(Good, 1)]
    });
}

#[test]
fn a_throttle_around_a_concurrency_limit_charges_calls_without_a_permit() {
    let orders = orders!([#[throttle(quota = 2, duration = 60)]] [#[concurrency(limit = 1)]]);
    compare(orders, [[Busy, Denied], [Busy, Busy]], |scene| {
        scene.start(Hold, 2);
        [scene.seen(Good, 1), scene.seen(Good, 1)]
    });
}

/// With the timeout outside, the breaker sees a call that is dropped, which counts only if it is slow.
#[test]
fn a_circuit_breaker_around_a_timeout_counts_timeouts_as_failures() {
    let orders = orders!([#[circuit_breaker(failures = 2, within = "1m", slow = "3s", open_for = "1h")]]
        [#[timeout("2500ms")]]);
    let expected = [[TimedOut, TimedOut, Open], [TimedOut; 3]];
    compare(orders, expected, |scene| {
        [(); 3].map(|()| scene.seen(Slow(3), 1))
    });
}

/// The first call times out. With the concurrency limit outside, its permit is then free for the
/// second call, whose own time starts when it runs.
#[test]
fn the_wait_for_a_permit_of_a_concurrency_limit_around_a_timeout_does_not_time_out() {
    let orders = orders!([#[concurrency(limit = 1, wait)]] [#[timeout("2500ms")]]);
    compare(orders, [[TimedOut, Okay(2)], [TimedOut; 2]], |scene| {
        let first = scene.start(Hold, 1);
        let second = scene.start(Good, 1);
        let second = scene.finish(second);
        [scene.finish(first), second]
    });
}

#[test]
fn a_circuit_breaker_around_a_concurrency_limit_can_count_calls_without_a_permit() {
    let orders = orders!([#[circuit_breaker(
            failures = 2, within = "1m", open_for = "1h",
            on = Failure::Premier(Error::ConcurrencyExceeded { .. })
        )]]
        [#[concurrency(limit = 1)]]);
    compare(orders, [[Busy, Busy, Open], [Busy; 3]], |scene| {
        scene.start(Hold, 2);
        [(); 3].map(|()| scene.seen(Good, 1))
    });
}

#[test]
fn a_value_in_two_caches_is_kept_as_long_as_in_either() {
    let orders = orders!([#[cache(keymaker = |_, _, key| *key, ttl = 5)]] [#[cache(keymaker = |_, _, key| *key, ttl = 60)]]);
    compare(orders, [[Okay(1), Okay(1), Okay(2)]; 2], |scene| {
        [0, 10, 70].map(|pause| {
            scene.pass(pause);
            scene.seen(Good, 1)
        })
    });
}

#[test]
fn attempts_of_two_retries_multiply() {
    let orders = orders!([#[retry(strategy = "fixed", base = 10, max = 2)]]
        [#[retry(strategy = "fixed", base = 1, max = 3)]]);
    compare(orders, [((Failed, 14), 6), ((Failed, 32), 6)], |scene| {
        (scene.timed(Fail, 1), scene.count())
    });
}

#[test]
fn two_throttles_must_both_admit_a_call() {
    let orders = orders!([#[throttle(quota = 1, duration = 60, keymaker = |_, _, key| *key)]]
        [#[throttle(quota = 2, duration = 60)]]);
    compare(orders, [[Okay(1), Okay(2), Denied, Denied]; 2], |scene| {
        [1, 2, 3, 1].map(|key| scene.seen(Good, key))
    });
}

#[test]
fn the_shorter_of_two_timeouts_ends_the_call() {
    let orders = orders!([#[timeout(2)]] [#[timeout(5)]]);
    compare(orders, [(TimedOut, 2); 2], |scene| scene.timed(Slow(9), 1));
}

#[test]
fn the_stricter_of_two_circuit_breakers_opens_first() {
    let orders = orders!([#[circuit_breaker(failures = 2, within = "1m", open_for = "1h")]]
        [#[circuit_breaker(failures = 4, within = "1m", open_for = "1h")]]);
    compare(orders, [[Failed, Failed, Open]; 2], |scene| {
        [(); 3].map(|()| scene.seen(Fail, 1))
    });
}

#[test]
fn the_lower_of_two_concurrency_limits_applies() {
    let orders = orders!([#[concurrency(limit = 1)]] [#[concurrency(limit = 3)]]);
    compare(orders, [[Busy, Busy]; 2], |scene| {
        scene.start(Hold, 1);
        [scene.seen(Good, 1), scene.seen(Good, 1)]
    });
}
