//! Limits and algorithms as text: `Display`, `FromStr` and serde.

use std::time::Duration;

use premier::{Algo, Limit};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn parsed(text: &str) -> Limit {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_limit_is_read_from_its_text() {
    for (text, limit) in [
        ("100/min", Limit::fixed_window(100, MINUTE)),
        ("3/5s", Limit::fixed_window(3, 5 * SECOND)),
        ("1_000/h", Limit::fixed_window(1_000, 60 * MINUTE)),
        ("sliding_window 100/min", Limit::sliding_window(100, MINUTE)),
        ("sliding_log 5/1m", Limit::sliding_log(5, MINUTE)),
        ("gcra 5/s", Limit::token_bucket(5, SECOND)),
        (
            "token_bucket 5/s, burst 10",
            Limit::token_bucket(5, SECOND).burst(10),
        ),
        (
            "leaky_bucket 10/s bucket_size 20",
            Limit::leaky_bucket(10, SECOND).bucket_size(20),
        ),
        (
            "  leaky_bucket  10/s,bucket_size 0 ",
            Limit::leaky_bucket(10, SECOND).bucket_size(0),
        ),
    ] {
        assert_eq!(parsed(text), limit, "{text}");
    }
}

#[test]
fn a_limit_without_an_algorithm_has_the_one_that_its_numbers_are_for() {
    assert_eq!(parsed("5/s").algo(), Algo::FixedWindow);
    assert_eq!(parsed("5/s burst 10").algo(), Algo::TokenBucket);
    assert_eq!(parsed("5/s bucket_size 10").algo(), Algo::LeakyBucket);
}

#[test]
fn a_text_that_is_not_a_limit_says_why_and_what_is_one() {
    for (text, reason) in [
        ("", "it has no rate"),
        ("fixed_window", "it has no rate"),
        ("100", "unknown algorithm \"100\""),
        ("token_buckets 1/s", "unknown algorithm \"token_buckets\""),
        ("0/s", "quota must be at least 1"),
        ("1/fortnight", "is not a duration"),
        ("1/s burst", "burst needs a number"),
        ("1/s burst many", "burst needs a number"),
        ("1/s burst 1 burst 2", "burst is there twice"),
        (
            "1/s per user",
            "\"per\" is none of burst, bucket_size and lease",
        ),
        (
            "fixed_window 1/s burst 2",
            "burst is for token_bucket, not for fixed_window",
        ),
        (
            "1/s burst 2 bucket_size 3",
            "bucket_size is for leaky_bucket",
        ),
        ("sliding_log 100001/s", "a quota of at most 100,000"),
    ] {
        let message = text.parse::<Limit>().unwrap_err().to_string();
        assert!(message.contains(reason), "{text:?}: {message}");
        assert!(message.contains("as in \"100/min\""), "{text:?}: {message}");
    }
}

proptest! {
    #[test]
    fn every_valid_limit_is_read_back_from_what_it_displays(
        algo in 0..5_usize,
        quota in 1..100_000_u64,
        nanos in 1_000..31_622_400_000_000_000_u64,
        extra in proptest::option::of(1..=1_u64 << 32),
    ) {
        let algo = [
            Algo::FixedWindow,
            Algo::SlidingWindow,
            Algo::SlidingLog,
            Algo::TokenBucket,
            Algo::LeakyBucket,
        ][algo];
        let mut limit = Limit::new(algo, quota, Duration::from_nanos(nanos));
        match (algo, extra) {
            (Algo::TokenBucket, Some(extra)) => limit = limit.burst(extra),
            (Algo::LeakyBucket, Some(extra)) => limit = limit.bucket_size(extra),
            _ => {}
        }
        prop_assume!(limit.validate().is_ok());
        prop_assert_eq!(limit.to_string().parse::<Limit>().unwrap(), limit);
        let json = serde_json::to_string(&limit).unwrap();
        prop_assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
    }
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Settings {
    search: Limit,
    algo: Algo,
}

#[test]
fn limits_and_algorithms_stand_in_a_configuration_file() {
    let settings: Settings = toml::from_str("search = '100/min'\nalgo = 'gcra'").unwrap();
    let expected = Settings {
        search: Limit::fixed_window(100, MINUTE),
        algo: Algo::TokenBucket,
    };
    assert_eq!(settings, expected);
    assert_eq!(
        serde_json::to_string(&Algo::SlidingLog).unwrap(),
        "\"sliding_log\""
    );
}

#[test]
fn a_value_that_is_not_a_limit_says_what_to_write_in_a_configuration_file() {
    let number = serde_json::from_str::<Limit>("100")
        .unwrap_err()
        .to_string();
    assert!(
        number.contains("expected a limit, as in \"100/min\""),
        "{number}"
    );
    let text = serde_json::from_str::<Limit>("\"100\"")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("expected a limit, as in \"100/min\""),
        "{text}"
    );
    let algo = serde_json::from_str::<Algo>("\"fixed\"")
        .unwrap_err()
        .to_string();
    assert!(
        algo.contains("unknown algorithm \"fixed\": expected fixed_window"),
        "{algo}"
    );
}
