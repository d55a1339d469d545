//! Decisions by several limits and by a queue between two slots, and the count of keys, are equal in memory and on
//! Redis.
#![forbid(unsafe_code)]

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Config, Decision, Error, Handler, Limit, MemoryHandler, Throttle, throttle};
use premier_tests::redis::Server;

const SECOND: Duration = Duration::from_secs(1);

/// Both stores on one clock, and the server that must outlive them.
fn stores() -> (ManualClock, [Config; 2], Server) {
    let server = Server::start();
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    let redis = server.builder().clock(clock.clone()).build().unwrap();
    (clock, [memory.into(), redis.into()], server)
}

fn summary(decision: &Decision) -> (bool, u64, u64, Duration) {
    let Decision {
        allowed,
        limit,
        remaining,
        retry_after,
        ..
    } = *decision;
    (allowed, limit, remaining, retry_after)
}

#[test]
fn a_denial_by_one_of_several_limits_reports_its_remaining_and_retry_after() {
    let tight = Limit::fixed_window(3, 10 * SECOND);
    let wide = Limit::fixed_window(100, 3_600 * SECOND);
    let wider = Limit::token_bucket(200, 3_600 * SECOND);
    let (clock, stores, _server) = stores();
    for config in stores {
        for (name, limits) in [
            ("first", [tight, wide, wider]),
            ("second", [wide, tight, wider]),
            ("third", [wider, wide, tight]),
        ] {
            let throttle = Throttle::all(name, &limits).with_config(config.clone());
            let two = throttle.cost(2);
            assert_eq!(
                summary(&two.check("k").unwrap()),
                (true, 3, 1, Duration::ZERO),
                "{name}"
            );
            clock.advance(4 * SECOND);
            // One unit remains, and the call costs two.
            for denied in [two.check("k").unwrap(), two.peek("k").unwrap()] {
                assert_eq!(summary(&denied), (false, 3, 1, 6 * SECOND), "{name}");
            }
            assert_eq!(
                summary(&throttle.check("k").unwrap()),
                (true, 3, 0, Duration::ZERO),
                "{name}: what is left can be taken"
            );
            assert_eq!(
                summary(&throttle.check("k").unwrap()),
                (false, 3, 0, 6 * SECOND),
                "{name}"
            );
        }
    }
}

#[test]
fn a_denial_by_several_limits_reports_the_longest_retry_after() {
    let short = Limit::fixed_window(1, 10 * SECOND);
    let long = Limit::token_bucket(1, 60 * SECOND);
    let (_clock, stores, _server) = stores();
    for config in stores {
        for (name, limits) in [
            ("short first", [short, long]),
            ("long first", [long, short]),
        ] {
            let throttle = Throttle::all(name, &limits).with_config(config.clone());
            assert!(throttle.check("k").unwrap().allowed);
            let denied = throttle.check("k").unwrap();
            assert_eq!(summary(&denied), (false, 1, 0, 60 * SECOND), "{name}");
        }
    }
}

#[test]
fn a_denial_by_several_limits_reports_the_lowest_remaining() {
    let tight = Limit::fixed_window(3, 10 * SECOND);
    let wide = Limit::fixed_window(4, 60 * SECOND);
    let (_clock, stores, _server) = stores();
    for config in stores {
        for (name, limits) in [
            ("tight first", [tight, wide]),
            ("wide first", [wide, tight]),
        ] {
            let throttle = Throttle::all(name, &limits).with_config(config.clone());
            assert!(throttle.cost(2).check("k").unwrap().allowed);
            let denied = throttle.cost(3).check("k").unwrap();
            assert_eq!(summary(&denied), (false, 3, 1, 60 * SECOND), "{name}");
        }
    }
}

#[test]
fn the_reset_of_several_limits_is_that_of_the_last() {
    let short = Limit::fixed_window(5, 10 * SECOND);
    let long = Limit::fixed_window(50, 60 * SECOND);
    let (_clock, stores, _server) = stores();
    for config in stores {
        for (name, limits) in [
            ("short first", [short, long]),
            ("long first", [long, short]),
        ] {
            let throttle = Throttle::all(name, &limits).with_config(config.clone());
            assert_eq!(throttle.check("k").unwrap().reset_after, 60 * SECOND);
        }
    }
}

#[test]
fn a_function_denied_by_one_of_its_limits_reports_its_retry_after() {
    #[throttle(limits("2/h", "100/d"), algo = "fixed_window")]
    fn first() -> Result<(), Error> {
        Ok(())
    }
    #[throttle(limits("100/d", "2/h"), algo = "fixed_window")]
    fn last() -> Result<(), Error> {
        Ok(())
    }
    for call in [first, last] {
        assert!(call().is_ok() && call().is_ok());
        let retry_after = call().unwrap_err().retry_after().unwrap();
        assert!(
            retry_after <= 3_600 * SECOND && retry_after > 3_500 * SECOND,
            "{retry_after:?}"
        );
    }
}

/// Between two slots, `remaining` counts only whole calls that would be admitted.
#[test]
fn exactly_the_remaining_units_are_admitted_between_two_slots() {
    let (clock, stores, _server) = stores();
    for (nth, config) in stores.into_iter().enumerate() {
        for limit in [
            Limit::leaky_bucket(1, SECOND).bucket_size(3),
            Limit::leaky_bucket(3, SECOND).bucket_size(5),
            Limit::token_bucket(1, SECOND).burst(3),
        ] {
            for quarter in 0..20 {
                clock.set(Duration::ZERO);
                let name = format!("{nth} {} {quarter}", limit.quota());
                let throttle = Throttle::new(&name, limit).with_config(config.clone());
                throttle.cost(2).acquire("k").unwrap();
                clock.set(quarter * SECOND / 4);
                let remaining = throttle.peek("k").unwrap().remaining;
                let mut taken = 0;
                loop {
                    let decision = throttle.check("k").unwrap();
                    if !decision.allowed {
                        assert_eq!(decision.remaining, 0, "{limit:?} at {quarter}/4 s");
                        break;
                    }
                    taken += 1;
                    assert_eq!(
                        decision.remaining + taken,
                        remaining,
                        "{limit:?} at {quarter}/4 s, after {taken}"
                    );
                }
                assert_eq!(taken, remaining, "{limit:?} at {quarter}/4 s");
            }
        }
    }
}

#[test]
fn a_cleared_memory_has_no_keys_and_room_for_as_many_as_before() {
    let handler = MemoryHandler::builder()
        .clock(ManualClock::new())
        .max_keys(50)
        .build();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let make = |keyspace: &str| {
        Throttle::new("t", limit).with_config(Config::new(handler.clone()).keyspace(keyspace))
    };
    let (shop, other) = (make("shop"), make("other"));
    assert!(other.check("stays").unwrap().allowed);
    for round in 1..=3 {
        for key in 0..49 {
            assert!(shop.check(&key).unwrap().allowed, "round {round}: {key}");
        }
        assert_eq!(handler.keys(), 50);
        assert!(matches!(
            shop.check("one too many"),
            Err(Error::TooManyKeys { .. })
        ));
        handler.clear("shop").unwrap();
        assert_eq!(handler.keys(), 1, "round {round}");
    }
    assert!(!other.check("stays").unwrap().allowed);
}

#[test]
fn a_key_that_is_reset_is_no_longer_counted() {
    let handler = MemoryHandler::builder().clock(ManualClock::new()).build();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let throttle = Throttle::new("t", limit).with_config(handler.clone());
    for key in 0..3 {
        throttle.acquire(&key).unwrap();
    }
    throttle.reset(&1).unwrap();
    assert_eq!(handler.keys(), 2);
    throttle.reset(&1).unwrap();
    assert_eq!(handler.keys(), 2);
}
