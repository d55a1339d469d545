//! Cases in which other limiters admit too much, too little, or nothing at all.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::algorithms::{Plan, State};
use premier::{Algo, Error, Limit, MemoryHandler, Throttle};
use premier_tests::waits::until_denied;
use premier_tests::{admitted, manual};

const SECOND: Duration = Duration::from_secs(1);
const ALL: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::SlidingWindow,
    Algo::SlidingLog,
    Algo::TokenBucket,
    Algo::LeakyBucket,
];

/// A leaky bucket without a queue denies as the other algorithms do.
fn limit(algo: Algo, quota: u64, period: Duration) -> Limit {
    let limit = Limit::new(algo, quota, period);
    if algo == Algo::LeakyBucket {
        limit.bucket_size(0)
    } else {
        limit
    }
}

#[test]
fn frequent_polling_loses_no_fractions_of_units() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
        Algo::LeakyBucket,
    ] {
        let polls = admitted(
            limit(algo, 1, SECOND),
            Duration::from_nanos(1_500),
            2 * SECOND,
        );
        assert_eq!(polls.len(), 2, "{algo}");
    }
}

#[test]
fn a_limit_of_six_hundred_million_a_second_never_exceeds_its_rate() {
    let (clock, throttle) = manual(Limit::token_bucket(600_000_000, SECOND).burst(1));
    let mut taken = 0;
    let nanos = 100_000;
    for _ in 0..nanos {
        taken += until_denied("a quick bucket", || throttle.check("k").unwrap().allowed);
        clock.advance(Duration::from_nanos(1));
    }
    // 0.6 units per nanosecond, but with a burst of one at most one call per nanosecond is
    // admitted.
    assert!(taken <= nanos * 6 / 10 + 1, "{taken}");
    assert!(taken >= nanos / 2, "{taken}");
}

#[test]
fn a_rate_with_a_fractional_interval_does_not_drift() {
    for quota in [3, 7, 11, 997, 999_999_937] {
        let (clock, throttle) = manual(Limit::token_bucket(quota, SECOND));
        let cost = (quota / 3).max(1);
        let mut taken = 0u64;
        for _ in 0..3_000 {
            let costly = throttle.cost(cost);
            taken += cost * until_denied("a bucket", || costly.check("k").unwrap().allowed);
            clock.advance(Duration::from_millis(100));
        }
        let bound = quota * 300 + quota;
        assert!(taken <= bound, "{taken} of {bound} at {quota}/s");
        assert!(
            taken >= bound - 2 * cost - quota / 10_000,
            "{taken} of {bound} at {quota}/s"
        );
    }
}

#[test]
fn a_clock_that_steps_back_blocks_no_key() {
    for algo in ALL {
        let (clock, throttle) = manual(Limit::new(algo, 5, 5 * SECOND));
        clock.set(100 * SECOND);
        assert!(throttle.check("k").unwrap().allowed);
        clock.set(50 * SECOND);
        let next = throttle.check("k").unwrap();
        assert!(next.allowed, "{algo}");
        assert!(next.remaining <= 4, "{algo}: the step back gave credit");
        clock.advance(10 * SECOND);
        assert!(throttle.check("k").unwrap().allowed, "{algo}: time goes on");
    }
}

/// Tests the algorithms without the handler's monotonic clock, as on a server whose clock is set
/// back.
#[test]
fn a_state_from_the_future_costs_one_refill_at_most() {
    for algo in ALL {
        let plan = Plan::new(limit(algo, 5, 5 * SECOND)).unwrap();
        let mut state = State::default();
        let then = 1_000_000_000_000;
        until_denied("a state", || state.take(&plan, then, 1).allowed);
        let refill = state.peek(&plan, then, 1).reset_after;
        let now = then / 2;
        let denied = state.take(&plan, now, 1);
        assert!(!denied.allowed, "{algo}: what was used stays used");
        assert!(denied.retry_after <= refill, "{algo}: {denied:?}");
        let later = now + denied.retry_after.as_nanos() as u64;
        assert!(!state.take(&plan, later - 1, 1).allowed, "{algo}");
        assert!(state.take(&plan, later, 1).allowed, "{algo}");
    }
}

#[test]
fn two_threads_released_together_take_one_unit() {
    let keys: Vec<String> = (0..20_000).map(|key| format!("user-{key}")).collect();
    for algo in ALL {
        let throttle =
            Throttle::new("race", limit(algo, 1, 3_600 * SECOND)).with_config(MemoryHandler::new());
        let arrived = AtomicUsize::new(0);
        let began = Instant::now();
        let admitted: Vec<HashSet<&str>> = thread::scope(|scope| {
            let racers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        keys.iter()
                            .enumerate()
                            .filter(|(round, key)| {
                                arrived.fetch_add(1, Ordering::SeqCst);
                                // On a busy machine each wait takes long. Later rounds go without.
                                while arrived.load(Ordering::SeqCst) < 2 * (round + 1)
                                    && began.elapsed() < 10 * SECOND
                                {
                                    thread::yield_now();
                                }
                                throttle.check(*key).unwrap().allowed
                            })
                            .map(|(_, key)| key.as_str())
                            .collect()
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        assert_eq!(admitted[0].len() + admitted[1].len(), 20_000, "{algo}");
        assert!(admitted[0].is_disjoint(&admitted[1]), "{algo}");
    }
}

#[test]
fn a_cost_that_does_not_fit_takes_nothing() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
    ] {
        let (_, throttle) = manual(Limit::new(algo, 10, SECOND));
        throttle.cost(9).acquire("k").unwrap();
        let never = throttle.cost(1_000).check("k");
        assert!(matches!(
            never,
            Err(Error::CostExceedsCapacity {
                cost: 1_000,
                capacity: 10,
                ..
            })
        ));
        assert!(!throttle.cost(2).check("k").unwrap().allowed, "{algo}");
        assert_eq!(throttle.peek("k").unwrap().remaining, 1, "{algo}");
        assert!(throttle.check("k").unwrap().allowed, "{algo}");
    }
}

#[test]
fn a_full_memory_drops_no_debt() {
    for algo in ALL {
        let handler = MemoryHandler::builder().max_keys(100).build();
        let throttle =
            Throttle::new("bound", limit(algo, 1, 3_600 * SECOND)).with_config(handler.clone());
        let pass = || {
            (0..2_000)
                .filter(|key| matches!(throttle.check(key), Ok(decision) if decision.allowed))
                .count()
        };
        assert_eq!(pass(), 100, "{algo}");
        assert_eq!(pass(), 0, "{algo}");
        assert!(matches!(
            throttle.check("new"),
            Err(Error::TooManyKeys { max_keys: 100, .. })
        ));
        assert_eq!(handler.keys(), 100);
    }
}

#[test]
fn a_raised_rate_gives_no_retroactive_credit() {
    for algo in ALL {
        let (clock, slow) = manual(limit(algo, 10, 10 * SECOND));
        until_denied("a slow limit", || slow.check("k").unwrap().allowed);
        clock.advance(SECOND / 2);
        // A limit that changes at run time decides on the same state with other values.
        let quick = slow.with_limit(limit(algo, 10, SECOND));
        // At the new rate, the half second would have added five units.
        assert!(!quick.check("k").unwrap().allowed, "{algo}");
        clock.advance(2 * SECOND);
        assert!(
            quick.check("k").unwrap().allowed,
            "{algo}: it is not blocked either"
        );
    }
}
