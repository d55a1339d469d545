//! The keys that the memory handler keeps, and for how long.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Error, Limit, MemoryHandler, Throttle};
use premier_tests::manual;
use premier_tests::waits::until_denied;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn idle_keys_are_removed_and_keys_with_debt_are_kept() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let throttle =
        Throttle::new("idle", Limit::token_bucket(2, 2 * SECOND)).with_config(handler.clone());
    let mut most = 0;
    for key in 0..100_000 {
        assert!(throttle.check(&key).unwrap().allowed);
        clock.advance(SECOND / 1_000);
        most = most.max(handler.keys());
    }
    // 1,000 keys have debt at any time, and the sweep may lag behind by a part of the map.
    assert!(most < 10_000, "{most} keys were kept");
    let owing = (99_001..100_000)
        .filter(|key| throttle.peek(key).unwrap().remaining < 2)
        .count();
    assert_eq!(owing, 999);
}

#[test]
fn a_full_memory_accepts_new_keys_once_old_keys_have_no_debt() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
    ] {
        let clock = ManualClock::new();
        let handler = MemoryHandler::builder()
            .clock(clock.clone())
            .max_keys(100)
            .build();
        // Two limits share the bound on keys.
        let one = Throttle::new("one", Limit::new(algo, 1, SECOND)).with_config(handler.clone());
        let two = Throttle::new("two", Limit::new(algo, 1, SECOND)).with_config(handler);
        for key in 0..100 {
            assert!(one.check(&key).unwrap().allowed);
        }
        assert!(matches!(two.check("new"), Err(Error::TooManyKeys { .. })));
        clock.advance(2 * SECOND);
        for key in 0..100 {
            assert!(two.check(&key).unwrap().allowed, "{algo}: key {key}");
        }
    }
}

/// Random values of a header that fill one limit leave room to all others.
#[test]
fn a_limit_that_is_full_leaves_room_to_others() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder()
        .clock(clock.clone())
        .max_keys(100)
        .max_keys_per_limit(60)
        .build();
    let limit = Limit::fixed_window(1, SECOND);
    let one = Throttle::new("one", limit).with_config(handler.clone());
    let two = Throttle::new("two", limit).with_config(handler);
    for key in 0..60 {
        assert!(one.check(&key).unwrap().allowed);
    }
    let full = |throttle: &Throttle| match throttle.check("new") {
        Err(Error::TooManyKeys { max_keys, .. }) => max_keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(full(&one), 60);
    for key in 0..40 {
        assert!(two.check(&key).unwrap().allowed);
    }
    assert_eq!(full(&two), 100);
    clock.advance(2 * SECOND);
    for key in 100..160 {
        assert!(one.check(&key).unwrap().allowed, "key {key}");
    }
}

/// Without a bound, 4,000 headers of 300 KB take 575 MB.
#[test]
fn a_long_key_takes_no_more_memory_than_a_short_one() {
    let (_clock, throttle) = manual(Limit::fixed_window(1, SECOND));
    assert!(throttle.check("first").unwrap().allowed);
    let padding = "x".repeat(300_000);
    let keep = |keys: std::ops::Range<usize>| {
        allocation_counter::measure(|| {
            for key in keys {
                assert!(
                    throttle
                        .check(&format_args!("{padding}{key}"))
                        .unwrap()
                        .allowed
                );
            }
        })
    };
    let kept = keep(0..1_000).bytes_current;
    assert!(kept < 200_000, "{kept} bytes");
}

#[test]
fn long_keys_are_told_apart() {
    let (_clock, throttle) = manual(Limit::fixed_window(1, SECOND));
    for len in [22, 23, 127, 128, 129, 130, 300_000] {
        let key = "x".repeat(len);
        let other = "x".repeat(len - 1) + "y";
        assert!(throttle.check(&key).unwrap().allowed, "{len}");
        assert!(!throttle.check(&key).unwrap().allowed, "{len}");
        assert!(throttle.check(&other).unwrap().allowed, "{len}");
        throttle.reset(&key).unwrap();
        assert!(throttle.check(&key).unwrap().allowed, "{len}");
        assert!(!throttle.check(&other).unwrap().allowed, "{len}");
    }
}

#[test]
fn a_longer_limit_of_the_same_name_keeps_its_debt() {
    let (clock, hourly) = manual(Limit::fixed_window(1, 3_600 * SECOND));
    hourly.acquire("k").unwrap();
    let brief = hourly.with_limit(Limit::fixed_window(1, SECOND));
    clock.advance(2 * SECOND);
    for key in 0..10_000 {
        brief.acquire(&key).unwrap();
    }
    assert!(!hourly.check("k").unwrap().allowed);
}

#[test]
fn peeking_stores_nothing() {
    let handler = MemoryHandler::new();
    let throttle =
        Throttle::new("ask", Limit::fixed_window(1, SECOND)).with_config(handler.clone());
    assert!(throttle.cost(0).check("k").unwrap().allowed);
    assert!(throttle.peek("k").unwrap().allowed);
    throttle.refund("k", 1).unwrap();
    throttle.reset("k").unwrap();
    assert_eq!(handler.keys(), 0);
}

#[test]
fn clear_removes_one_keyspace_and_no_other() {
    use premier::{Config, Handler};
    let handler = MemoryHandler::new();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let config = |keyspace: &str| Config::new(handler.clone()).keyspace(keyspace);
    let shop = Throttle::new("t", limit).with_config(config("shop"));
    let shop2 = Throttle::new("t", limit).with_config(config("shop2"));
    assert!(shop.check("k").unwrap().allowed && shop2.check("k").unwrap().allowed);
    handler.clear("shop").unwrap();
    assert!(shop.check("k").unwrap().allowed);
    assert!(!shop2.check("k").unwrap().allowed);
}

#[test]
fn every_algorithm_refunds_and_resets() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
        Algo::LeakyBucket,
    ] {
        let (_, throttle) = manual(Limit::new(algo, 5, 5 * SECOND));
        let capacity = throttle.peek("k").unwrap().remaining;
        throttle.cost(4).acquire("k").unwrap();
        throttle.refund("k", 3).unwrap();
        assert_eq!(
            throttle.peek("k").unwrap().remaining,
            capacity - 1,
            "{algo}"
        );
        throttle.refund("k", 100).unwrap();
        assert_eq!(
            throttle.peek("k").unwrap().remaining,
            capacity,
            "{algo}: never more than full"
        );
        throttle.cost(5).acquire("k").unwrap();
        throttle.reset("k").unwrap();
        let fresh = throttle.peek("k").unwrap();
        assert_eq!(
            (fresh.remaining, fresh.reset_after),
            (capacity, Duration::ZERO),
            "{algo}"
        );
    }
}

#[test]
fn several_limits_take_units_together_or_not_at_all() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let limits = [
        Limit::token_bucket(2, SECOND),
        Limit::token_bucket(5, 60 * SECOND),
    ];
    let both = Throttle::all("both", &limits).with_config(handler);
    let mut taken = 0;
    for _ in 0..10 {
        taken += until_denied("both limits", || both.check("k").unwrap().allowed);
        clock.advance(SECOND);
    }
    assert_eq!(
        taken, 5,
        "a call refused by one limit must take nothing of the other"
    );
    let denied = both.check("k").unwrap();
    assert!(denied.retry_after > SECOND, "{denied:?}");
    clock.advance(denied.retry_after - Duration::from_nanos(1));
    assert!(!both.check("k").unwrap().allowed);
    clock.advance(Duration::from_nanos(1));
    assert!(both.check("k").unwrap().allowed);
    assert!(matches!(
        both.cost(3).check("k"),
        Err(Error::CostExceedsCapacity {
            cost: 3,
            capacity: 2,
            ..
        })
    ));
}

#[test]
fn a_limit_out_of_range_is_a_config_error_at_the_first_call() {
    let year = Duration::from_secs(367 * 86_400);
    for limit in [
        Limit::fixed_window(0, SECOND),
        Limit::fixed_window(1, Duration::ZERO),
        Limit::fixed_window(1, Duration::from_nanos(999)),
        Limit::fixed_window(1, year),
        Limit::fixed_window(1_000_000_001, SECOND),
        Limit::sliding_log(100_001, SECOND),
        Limit::token_bucket(1, SECOND).burst(0),
        Limit::token_bucket(1, SECOND).burst((1 << 32) + 1),
        Limit::leaky_bucket(1, SECOND).burst(1),
        Limit::token_bucket(1, SECOND).bucket_size(1),
        Limit::fixed_window(1, SECOND).burst(1),
    ] {
        let throttle = Throttle::new("bad", limit).with_config(MemoryHandler::new());
        assert!(
            matches!(throttle.check("k"), Err(Error::Config { .. })),
            "{limit:?}"
        );
        assert!(limit.validate().is_err());
    }
}

#[test]
fn errors_escape_and_truncate_keys() {
    let (_, throttle) = manual(Limit::fixed_window(1, SECOND));
    let key = format!("a\n\u{1b}[31m{}", "x".repeat(1_000));
    throttle.acquire(&key).unwrap();
    let message = throttle.acquire(&key).unwrap_err().to_string();
    assert!(message.contains(r"a\n\u{1b}[31m"), "{message}");
    assert!(message.len() < 200, "{message}");
    assert!(!message.contains('\n'));
}
