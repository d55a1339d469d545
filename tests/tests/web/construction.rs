//! A layer whose limit cannot be used is refused when it is created, not with every request.

use std::panic::catch_unwind;
use std::time::Duration;

use premier::tower::ThrottleLayer;
use premier::{Config, Error, Limit, MemoryHandler, Throttle};

use super::{MINUTE, one_a_minute};

fn bad_limits() -> [Limit; 3] {
    [
        Limit::fixed_window(0, MINUTE),
        Limit::token_bucket(10, Duration::ZERO),
        Limit::token_bucket(10, MINUTE).burst(0),
    ]
}

fn message_of(make: impl FnOnce() -> ThrottleLayer + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(make).expect_err("a layer was made");
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn a_bad_limit_is_an_error_of_try_new() {
    for limit in bad_limits() {
        for made in [
            ThrottleLayer::try_new("bad", limit),
            ThrottleLayer::try_all("bad", &[one_a_minute(), limit]),
            ThrottleLayer::try_from_throttle(Throttle::new("bad", limit)),
        ] {
            assert!(matches!(made, Err(Error::Config { .. })), "{made:?}");
        }
    }
    assert!(ThrottleLayer::try_all("none", &[]).is_err());
    assert!(ThrottleLayer::try_new("good", one_a_minute()).is_ok());
}

#[test]
fn a_bad_limit_panics_in_new_with_the_error() {
    for limit in bad_limits() {
        let error = ThrottleLayer::try_new("bad", limit).unwrap_err();
        let expected = error.to_string();
        assert_eq!(
            message_of(move || ThrottleLayer::new("bad", limit)),
            expected
        );
        assert_eq!(
            message_of(move || ThrottleLayer::all("bad", &[limit])),
            expected
        );
        let from = message_of(move || ThrottleLayer::from_throttle(Throttle::new("bad", limit)));
        assert_eq!(from, expected);
    }
}

#[test]
fn a_bad_configuration_panics_where_it_is_given() {
    let panicked = message_of(|| {
        let config = Config::new(MemoryHandler::new()).keyspace("");
        ThrottleLayer::new("good", one_a_minute()).with_config(config)
    });
    assert!(panicked.contains("keyspace"), "{panicked}");
}
