//! The units of an admitted call can be given back, or corrected afterwards.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use premier::{
    Algo, Config, Error, Limit, MemoryHandler, OnBackendError, OnDrop, Permit, Throttle,
};
use premier_tests::manual;
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, joined, sleepers};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const ALGOS: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::SlidingWindow,
    Algo::SlidingLog,
    Algo::TokenBucket,
    Algo::LeakyBucket,
];

fn remaining(throttle: &Throttle) -> u64 {
    throttle.peek("k").unwrap().remaining
}

#[test]
fn a_permit_says_what_the_decision_said() {
    let (clock, throttle) = manual(Limit::fixed_window(10, MINUTE));
    throttle.acquire("k").unwrap();
    clock.advance(20 * SECOND);
    let permit = throttle.cost(3).acquire("k").unwrap();
    assert_eq!((permit.limit(), permit.remaining()), (10, 6));
    assert_eq!(permit.reset_after(), 40 * SECOND);
    assert_eq!(permit.waited(), Duration::ZERO);
}

#[test]
fn a_permit_says_how_long_the_call_has_waited() {
    for algo in ALGOS {
        let (clock, throttle) = manual(Limit::new(algo, 1, MINUTE));
        throttle.acquire("k").unwrap();
        let waiter = thread::spawn({
            let throttle = throttle.wait();
            move || throttle.acquire("k").unwrap().waited()
        });
        sleepers(&clock, 1);
        // The sliding window admits the call when the last one has left it.
        while !waiter.is_finished() {
            clock.advance(SECOND);
            thread::yield_now();
        }
        let waited = joined("the waiter ends", waiter).unwrap();
        assert!(waited >= MINUTE, "{algo}: {waited:?}");
    }
}

#[test]
fn a_dropped_permit_keeps_its_units_taken() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 5, MINUTE));
        let before = remaining(&throttle);
        drop(throttle.cost(2).acquire("k").unwrap());
        assert_eq!(remaining(&throttle), before - 2, "{algo}");
    }
}

#[tokio::test]
async fn a_refund_gives_the_units_of_the_call_back() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 5, MINUTE));
        let before = remaining(&throttle);
        throttle.cost(2).acquire("k").unwrap().refund().unwrap();
        assert_eq!(remaining(&throttle), before, "{algo}");
        let permit = throttle.cost(2).acquire_async("k").await.unwrap();
        permit.refund_async().await.unwrap();
        assert_eq!(remaining(&throttle), before, "{algo}: async");
    }
}

#[test]
fn a_refund_of_units_that_no_longer_count_gives_nothing_back() {
    for algo in ALGOS {
        let (clock, throttle) = manual(Limit::new(algo, 5, MINUTE));
        let permit = throttle.cost(3).acquire("k").unwrap();
        clock.advance(3 * MINUTE);
        throttle.cost(2).acquire("k").unwrap();
        let before = remaining(&throttle);
        permit.refund().unwrap();
        assert_eq!(remaining(&throttle), before, "{algo}");
    }
}

#[test]
fn a_refund_of_a_call_that_waited_for_a_token_gives_it_back() {
    let (clock, throttle) = manual(Limit::token_bucket(1, SECOND));
    throttle.acquire("k").unwrap();
    let waiter = thread::spawn({
        let throttle = throttle.wait();
        move || throttle.acquire("k").unwrap()
    });
    sleepers(&clock, 1);
    clock.advance(SECOND);
    let permit = joined("the waiter ends", waiter).unwrap();
    assert_eq!(remaining(&throttle), 0);
    permit.refund().unwrap();
    assert_eq!(remaining(&throttle), 1);
}

#[test]
fn a_refund_lets_waiters_run_earlier_but_no_earlier_than_the_limit_allows() {
    let (clock, throttle) = manual(Limit::token_bucket(1, SECOND).burst(2));
    let permit = throttle.acquire("k").unwrap();
    throttle.acquire("k").unwrap();
    let waiter = thread::spawn({
        let throttle = throttle.wait();
        move || throttle.acquire("k").unwrap().waited()
    });
    sleepers(&clock, 1);
    permit.refund().unwrap();
    assert_eq!(joined("the waiter ends", waiter).unwrap(), Duration::ZERO);
    assert!(!throttle.check("k").unwrap().allowed);
}

#[test]
fn settling_for_less_gives_the_rest_back() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        let before = remaining(&throttle);
        let permit = throttle.cost(8).acquire("k").unwrap();
        permit.settle(3).unwrap();
        assert_eq!(remaining(&throttle), before - 3, "{algo}");
    }
}

#[test]
fn settling_for_what_was_taken_changes_nothing() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        let permit = throttle.cost(8).acquire("k").unwrap();
        let before = throttle.peek("k").unwrap();
        permit.settle(8).unwrap();
        assert_eq!(throttle.peek("k").unwrap(), before, "{algo}");
    }
}

#[tokio::test]
async fn settling_for_more_charges_the_difference() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        let before = remaining(&throttle);
        throttle.cost(2).acquire("k").unwrap().settle(5).unwrap();
        assert_eq!(remaining(&throttle), before - 5, "{algo}");
        let permit = throttle.cost(0).acquire_async("k").await.unwrap();
        permit.settle_async(2).await.unwrap();
        assert_eq!(remaining(&throttle), before - 7, "{algo}: async");
    }
}

#[test]
fn settling_for_more_than_there_is_puts_a_token_bucket_into_debt() {
    let (clock, throttle) = manual(Limit::token_bucket(10, 10 * SECOND));
    throttle.cost(8).acquire("k").unwrap().settle(15).unwrap();
    assert_eq!(throttle.check("k").unwrap().retry_after, 6 * SECOND);
    clock.advance(6 * SECOND);
    assert!(throttle.check("k").unwrap().allowed);
}

#[test]
fn settling_for_more_than_there_is_takes_all_that_is_left_of_any_limit() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        throttle.cost(8).acquire("k").unwrap().settle(15).unwrap();
        assert_eq!(remaining(&throttle), 0, "{algo}");
    }
}

#[test]
fn settling_for_more_than_there_is_opens_the_next_window_as_already_used() {
    for algo in [Algo::FixedWindow, Algo::SlidingWindow] {
        let (clock, throttle) = manual(Limit::new(algo, 10, MINUTE));
        throttle.cost(8).acquire("k").unwrap().settle(17).unwrap();
        clock.advance(MINUTE - SECOND);
        assert!(!throttle.check("k").unwrap().allowed, "{algo}");
        // In a sliding window, the units of the window before count less and less.
        let faded = if algo == Algo::SlidingWindow { 60 } else { 1 };
        clock.advance(faded * SECOND);
        assert_eq!(remaining(&throttle), 3, "{algo}");
    }
}

#[test]
fn debt_beyond_the_next_window_is_paid_by_later_windows() {
    let (clock, throttle) = manual(Limit::fixed_window(10, MINUTE));
    throttle.cost(10).acquire("k").unwrap().settle(20).unwrap();
    throttle.cost(0).acquire("k").unwrap().settle(1).unwrap();
    let denied = throttle.check("k").unwrap();
    assert_eq!(denied.retry_after, 2 * MINUTE, "a key owes one capacity");
    clock.advance(MINUTE);
    throttle.cost(0).acquire("k").unwrap().settle(4).unwrap();
    clock.advance(MINUTE);
    assert_eq!(remaining(&throttle), 6);
}

#[test]
fn settling_for_more_than_a_call_can_cost_charges_until_the_key_owes_one_capacity() {
    let (_, throttle) = manual(Limit::token_bucket(10, 10 * SECOND));
    let permit = throttle.acquire("k").unwrap();
    permit.settle(u64::MAX).unwrap();
    assert_eq!(throttle.check("k").unwrap().retry_after, 11 * SECOND);
}

#[test]
fn a_permit_is_settled_once_also_by_threads_that_share_it() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        let before = remaining(&throttle);
        for actual in [3, 5] {
            let permit = Arc::new(throttle.cost(4).acquire("k").unwrap());
            let settle = || {
                let permit = Arc::clone(&permit);
                thread::spawn(move || permit.settle(actual).unwrap())
            };
            for thread in [settle(), settle()] {
                joined("settling ends", thread).unwrap();
            }
            permit.refund().unwrap();
            drop(permit);
            if algo == Algo::LeakyBucket {
                // The next call has to wait for its slot.
                assert_eq!(remaining(&throttle), before - actual, "{algo}");
                throttle.reset("k").unwrap();
            }
        }
        if algo != Algo::LeakyBucket {
            assert_eq!(remaining(&throttle), before - 8, "{algo}");
        }
    }
}

#[test]
fn a_key_owes_at_most_max_debt() {
    for max_debt in [0, 1, 35] {
        let (_, throttle) = manual(Limit::token_bucket(10, 10 * SECOND));
        let throttle = throttle.max_debt(max_debt);
        let permit = throttle.cost(10).acquire("k").unwrap();
        permit.settle(1_000).unwrap();
        let retry_after = throttle.check("k").unwrap().retry_after;
        assert_eq!(retry_after, SECOND * (max_debt as u32 + 1));
    }
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 10, MINUTE));
        let throttle = throttle.max_debt(0);
        throttle.acquire("k").unwrap().settle(1_000).unwrap();
        let before = throttle.peek("k").unwrap();
        throttle.cost(0).acquire("k").unwrap().settle(5).unwrap();
        assert_eq!(throttle.peek("k").unwrap(), before, "{algo}");
        assert_eq!(before.remaining, 0, "{algo}");
    }
}

#[test]
fn with_on_drop_refund_a_dropped_permit_gives_its_units_back() {
    for algo in ALGOS {
        let (_, throttle) = manual(Limit::new(algo, 5, MINUTE));
        let throttle = throttle.on_drop(OnDrop::Refund);
        let before = remaining(&throttle);
        drop(throttle.cost(2).acquire("k").unwrap());
        assert_eq!(remaining(&throttle), before, "{algo}");
        let permit = throttle.cost(2).acquire("k").unwrap();
        permit.settle(2).unwrap();
        drop(permit);
        assert_eq!(remaining(&throttle), before - 2, "{algo}: settled");
    }
}

#[test]
fn with_on_drop_refund_a_dropped_permit_gives_its_units_back_to_redis_in_the_background() {
    let server = Server::start();
    let redis = server.handler();
    let limit = Limit::fixed_window(5, 3_600 * SECOND);
    let throttle = Throttle::new("dropped", limit).with_config(redis);
    let throttle = throttle.on_drop(OnDrop::Refund);
    drop(throttle.cost(2).acquire("k").unwrap());
    let began = Instant::now();
    while remaining(&throttle) < 5 {
        assert!(began.elapsed() < 20 * SECOND, "the units are given back");
    }
}

/// The stream of an answer, which settles the cost of its words at its end.
struct Words(std::vec::IntoIter<&'static str>, u64, Permit);

impl Words {
    async fn next(&mut self) -> Option<&'static str> {
        let word = self.0.next();
        match word {
            Some(_) => self.1 += 1,
            None => self.2.settle_async(self.1).await.unwrap(),
        }
        word
    }
}

#[tokio::test]
async fn a_stream_carries_a_permit_to_its_end() {
    let (_, throttle) = manual(Limit::token_bucket(10, MINUTE));
    let throttle = throttle.on_drop(OnDrop::Refund);
    let permit = throttle.cost(5).acquire_async("k").await.unwrap();
    let words = vec!["four", "words", "were", "enough"].into_iter();
    let mut stream = Words(words, 0, permit);
    let read = tokio::spawn(async move { while stream.next().await.is_some() {} });
    read.await.unwrap();
    assert_eq!(remaining(&throttle), 6);
    let permit = throttle.cost(5).acquire_async("k").await.unwrap();
    drop(Words(Vec::new().into_iter(), 0, permit));
    assert_eq!(remaining(&throttle), 6, "dropped before its end");
}

#[test]
fn permits_over_redis_are_refunded_and_settled_as_in_memory() {
    let server = Server::start();
    let redis = server.handler();
    for algo in ALGOS {
        let name = format!("permits-{algo}");
        let limit = Limit::new(algo, 100, 3_600 * SECOND);
        let throttle = Throttle::new(&name, limit).with_config(redis.clone());
        let before = remaining(&throttle);
        let permit = throttle.cost(40).acquire("k").unwrap();
        assert_eq!(remaining(&throttle), before - 40, "{algo}");
        permit.settle(10).unwrap();
        assert_eq!(remaining(&throttle), before - 10, "{algo}");
        if algo == Algo::LeakyBucket {
            // The next call has to wait for its slot.
            continue;
        }
        throttle.cost(20).acquire("k").unwrap().refund().unwrap();
        assert_eq!(remaining(&throttle), before - 10, "{algo}");
        throttle.cost(10).acquire("k").unwrap().settle(30).unwrap();
        assert_eq!(remaining(&throttle), before - 40, "{algo}");
    }
}

#[test]
fn units_that_the_outage_policy_granted_are_not_refunded_to_the_store() {
    let mut server = Server::start();
    let redis = server.handler();
    let limit = Limit::fixed_window(10, MINUTE);
    let policy = |policy| {
        let config = Config::new(redis.clone()).on_backend_error(policy);
        Throttle::new("policy", limit).with_config(config)
    };
    let (memory, allow) = (
        policy(OnBackendError::Memory),
        policy(OnBackendError::Allow),
    );
    memory.cost(4).acquire("k").unwrap();
    server.kill();
    let from_memory = memory.cost(2).acquire("k").unwrap();
    assert_eq!(remaining(&memory), 8);
    let for_free = allow.cost(2).acquire("k").unwrap();
    from_memory.refund().unwrap();
    assert_eq!(
        remaining(&memory),
        10,
        "given back to the memory that decided"
    );
    server.restart();
    // The server, not the memory, has to decide both calls below.
    eventually("the server is back", || redis.ping().is_ok());
    let taken = memory.check("k").unwrap();
    assert!(taken.allowed);
    let _ = for_free.refund();
    assert!(remaining(&memory) <= taken.remaining);
}

#[test]
fn a_refund_to_a_store_that_is_down_is_an_error() {
    let mut server = Server::start();
    let redis = server.handler();
    let throttle = Throttle::new("down", Limit::fixed_window(10, MINUTE)).with_config(redis);
    let permit = throttle.acquire("k").unwrap();
    server.kill();
    let error = permit.refund().unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
    assert!(error.to_string().contains("down for key \"k\""), "{error}");
}

#[test]
fn a_permit_outlives_its_throttle() {
    let memory = MemoryHandler::new();
    let throttle =
        || Throttle::new("gone", Limit::fixed_window(2, MINUTE)).with_config(memory.clone());
    let permit = throttle().acquire("k").unwrap();
    permit.refund().unwrap();
    assert_eq!(remaining(&throttle()), 2);
}
