//! Premier reproduces tables of decisions that others have published.

use std::time::Duration;

use premier::{Error, Limit};
use premier_tests::{admitted, manual};

const SECOND: Duration = Duration::from_secs(1);

/// From the documentation of redis-cell: a burst of 5 tokens, refilled by one each second.
#[test]
fn a_token_bucket_reproduces_the_table_of_redis_cell() {
    let (clock, throttle) = manual(Limit::token_bucket(5, 5 * SECOND));
    assert!(matches!(
        throttle.cost(6).check("k"),
        Err(Error::CostExceedsCapacity {
            cost: 6,
            capacity: 5,
            ..
        })
    ));
    for remaining in [4, 3, 2, 1, 0] {
        assert_eq!(throttle.check("k").unwrap().remaining, remaining);
    }
    let denied = throttle.check("k").unwrap();
    assert_eq!((denied.allowed, denied.retry_after), (false, SECOND));
    for (at, cost, remaining) in [
        (3_000, 1, 2),
        (3_100, 1, 1),
        (4_000, 1, 1),
        (8_000, 1, 4),
        (9_500, 1, 4),
        (9_500, 2, 2),
    ] {
        clock.set(Duration::from_millis(at));
        let decision = throttle.cost(cost).check("k").unwrap();
        assert_eq!(
            (decision.allowed, decision.remaining),
            (true, remaining),
            "at {at} ms"
        );
    }
    let denied = throttle.cost(5).check("k").unwrap();
    assert_eq!((denied.allowed, denied.retry_after), (false, 3 * SECOND));
}

/// 3 per 5 s, polled every millisecond for 10.002 s.
#[test]
fn each_algorithm_admits_at_the_published_instants() {
    let period = 5 * SECOND;
    let millis = |limit| -> Vec<u128> {
        admitted(
            limit,
            Duration::from_millis(1),
            Duration::from_millis(10_001),
        )
        .iter()
        .map(Duration::as_millis)
        .collect()
    };
    assert_eq!(
        millis(Limit::token_bucket(3, period)),
        [0, 1, 2, 1667, 3334, 5000, 6667, 8334, 10000]
    );
    assert_eq!(
        millis(Limit::fixed_window(3, period)),
        [0, 1, 2, 5000, 5001, 5002, 10000]
    );
    assert_eq!(
        millis(Limit::sliding_log(3, period)),
        [0, 1, 2, 5000, 5001, 5002, 10000]
    );
    let polled = admitted(
        Limit::sliding_window(3, period),
        Duration::from_millis(1),
        Duration::from_millis(10_002),
    );
    let polled: Vec<u128> = polled.iter().map(Duration::as_millis).collect();
    assert_eq!(polled, [0, 1, 2, 5001, 6667, 8334, 10001]);
}

/// Six simultaneous calls on a queue of three.
#[test]
fn a_leaky_bucket_with_a_queue_of_three_admits_four_of_six_calls() {
    let (_, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(3));
    let decisions: Vec<_> = (0..6).map(|_| throttle.check("k").unwrap()).collect();
    let delays: Vec<_> = decisions
        .iter()
        .filter(|decision| decision.allowed)
        .map(|decision| decision.delay)
        .collect();
    assert_eq!(delays, [Duration::ZERO, SECOND, 2 * SECOND, 3 * SECOND]);
    assert!(decisions[4..].iter().all(|decision| !decision.allowed));
}
