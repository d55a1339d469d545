//! Every argument of `#[throttle]`.

use std::num::NonZeroU32;
use std::time::Duration;

use premier::{Algo, Error, Limit, throttle};

struct User {
    id: u64,
    name: String,
}

fn user(id: u64) -> User {
    User {
        id,
        name: format!("user {id}"),
    }
}

fn admitted<T, E>(mut call: impl FnMut() -> Result<T, E>) -> usize {
    (0..100).take_while(|_| call().is_ok()).count()
}

mod rates {
    use super::*;

    #[throttle(quota = 3, duration = 3600)]
    pub(crate) fn seconds() {}
    #[throttle(quota = 3_u8, duration = 3600.5)]
    pub(crate) fn float_seconds() {}
    #[throttle(quota = 3, duration = "1.5h")]
    pub(crate) fn text() {}
    #[throttle(rate = "3/1h")]
    pub(crate) fn rate() {}
    #[throttle(rate = "3/h")]
    pub(crate) fn per_hour() {}
    #[throttle(quota = NonZeroU32::new(3).unwrap(), duration = Duration::from_secs(3600))]
    pub(crate) fn expressions() {}
    #[throttle(rate = format!("{}/h", 3))]
    pub(crate) fn rate_expression() {}
    #[throttle(algo = Algo::SlidingLog, rate = "3/h")]
    pub(crate) fn algo_expression() {}
    #[throttle(limits("3/s", "2/h"))]
    pub(crate) fn limits() {}
    #[throttle(algo = "gcra", rate = "3/h", burst = 5)]
    pub(crate) fn burst() {}
    #[throttle(algo = "leaky_bucket", rate = "3/h", bucket_size = 0)]
    pub(crate) fn bucket_size() {}
}

#[test]
fn a_rate_may_be_written_in_every_notation() {
    use rates::*;
    for (name, admitted, expected) in [
        ("seconds", admitted(seconds), 3),
        ("float_seconds", admitted(float_seconds), 3),
        ("text", admitted(text), 3),
        ("rate", admitted(rate), 3),
        ("per_hour", admitted(per_hour), 3),
        ("expressions", admitted(expressions), 3),
        ("rate_expression", admitted(rate_expression), 3),
        ("algo_expression", admitted(algo_expression), 3),
        ("limits", admitted(limits), 2),
        ("burst", admitted(burst), 5),
        ("bucket_size", admitted(bucket_size), 1),
    ] {
        assert_eq!(admitted, expected, "{name}");
    }
}

mod keys {
    use super::*;

    pub(crate) fn by_str(name: &str) -> &str {
        name
    }

    #[throttle(rate = "1/h", keymaker = |user, _| user.name.clone())]
    pub(crate) fn cloned(user: &User, _what: &str) {
        let _ = user;
    }
    #[throttle(rate = "1/h", keymaker = |user, _| &user.name)]
    pub(crate) fn borrow(user: User, _what: &str) {
        drop(user);
    }
    #[throttle(rate = "1/h", keymaker = |user: &User, what: &str| format!("{}{what}", user.id))]
    pub(crate) fn typed(user: User, what: String) {
        drop((user, what));
    }
    #[throttle(rate = "1/h", keymaker = by_str)]
    pub(crate) fn path(name: String) {
        drop(name);
    }
    #[throttle(rate = "1/h", keymaker = |b, a| format!("{b}{a}"))]
    pub(crate) fn swapped(a: u32, b: u32) {
        let _ = (a, b);
    }
    #[throttle(rate = "1/h", keymaker = |&id, (_, name)| { let id = id + 1; format!("{id}{name}") })]
    pub(crate) fn destructured(id: u32, pair: (u32, &str)) {
        let _ = (id, pair);
    }
    #[throttle(rate = "1/h", key = user.id)]
    pub(crate) fn expression(user: User) {
        drop(user);
    }
    #[throttle(rate = "1/h", key = "user:{name:>8}", name = "pinned")]
    pub(crate) fn _unused(name: &str) {
        let _ = name;
    }
}

#[test]
fn a_key_may_be_written_in_every_notation() {
    use keys::*;
    assert!(cloned(&user(1), "").is_ok() && cloned(&user(2), "").is_ok());
    assert!(cloned(&user(1), "").is_err());
    assert!(borrow(user(1), "").is_ok() && borrow(user(2), "").is_ok());
    assert!(borrow(user(1), "").is_err());
    assert!(typed(user(1), "a".into()).is_ok() && typed(user(1), "b".into()).is_ok());
    assert!(typed(user(1), "a".into()).is_err());
    assert!(path("a".into()).is_ok() && path("b".into()).is_ok());
    assert!(path("a".into()).is_err());
    assert!(swapped(1, 2).is_ok() && swapped(2, 1).is_ok());
    assert!(matches!(
        swapped(1, 2),
        Err(Error::QuotaExceeded { key: Some(key), .. }) if &*key == "12"
    ));
    assert!(destructured(1, (1, "a")).is_ok() && destructured(2, (1, "a")).is_ok());
    assert!(destructured(1, (2, "a")).is_err());
    assert!(expression(user(1)).is_ok() && expression(user(2)).is_ok());
    assert!(expression(user(1)).is_err());
}

#[throttle(rate = "10/h", cost = items.len())]
fn by_cost(items: &[u32]) -> Result<(), Error> {
    let _ = items;
    Ok(())
}

#[throttle(rate = "10/h", cost = debt)]
fn negative_cost(debt: i32) {
    let _ = debt;
}

#[test]
fn a_cost_may_be_an_expression_over_the_arguments() {
    by_cost(&[0; 6]).unwrap();
    assert!(matches!(by_cost(&[0; 5]), Err(Error::QuotaExceeded { .. })));
    by_cost(&[0; 4]).unwrap();
    by_cost(&[]).unwrap();
    assert!(matches!(
        by_cost(&[0; 11]),
        Err(Error::CostExceedsCapacity { cost: 11, .. })
    ));
    assert!(matches!(negative_cost(-1), Err(Error::Config { .. })));
}

#[throttle(rate = "1/h", on_reject = |error| error.to_string())]
fn with_closure() -> String {
    "admitted".to_owned()
}

fn busy(error: Error) -> Result<u32, &'static str> {
    assert!(error.retry_after().is_some());
    Err("busy")
}

#[throttle(rate = "1/h", on_reject = busy)]
async fn with_path() -> Result<u32, &'static str> {
    Ok(1)
}

#[tokio::test]
async fn on_reject_returns_a_value_instead_of_the_error() {
    assert_eq!(with_closure(), "admitted");
    assert!(
        with_closure()
            .starts_with("quota of language::attribute:with_closure exceeded: retry after")
    );
    assert_eq!(with_path().await, Ok(1));
    assert_eq!(with_path().await, Err("busy"));
}

#[throttle(rate = "5/h")]
#[throttle(rate = "3/h")]
fn throttled_twice() {}

#[throttle(rate = "2/h")]
#[throttle(rate = "9/h", on_reject = |_| "inner")]
async fn outer_first() -> &'static str {
    "ran"
}

#[throttle(rate = "9/h")]
#[throttle(rate = "2/h", on_reject = |_| "inner")]
fn inner_last() -> &'static str {
    "ran"
}

struct Stacked;

impl Stacked {
    #[throttle(rate = "5/h", key = "{id}")]
    #[premier::throttle(rate = "4/h")]
    fn method(&self, id: u32) -> Result<u32, Error> {
        Ok(id)
    }
}

#[tokio::test]
async fn both_throttles_of_a_function_apply() {
    assert_eq!(admitted(throttled_twice), 3);
    for _ in 0..2 {
        assert_eq!(outer_first().await.unwrap(), "ran");
    }
    assert!(outer_first().await.is_err());
    assert_eq!(
        (inner_last().unwrap(), inner_last().unwrap()),
        ("ran", "ran")
    );
    assert_eq!(inner_last().unwrap(), "inner");
    assert_eq!(
        (0..10).filter(|id| Stacked.method(id % 3).is_ok()).count(),
        4
    );
}

mod pinned {
    use premier::throttle;

    #[throttle(rate = "2/h", name = "one")]
    pub(crate) fn a() {}
    #[throttle(rate = "2/h", name = "one")]
    pub(crate) fn b() {}
}

#[test]
fn functions_with_one_name_share_a_quota() {
    assert!(pinned::a().is_ok() && pinned::b().is_ok());
    assert!(pinned::a().is_err() && pinned::b().is_err());
}

#[throttle(quota = "x".len() - 1, duration = 5)]
fn bad_at_run_time() {}

#[throttle(quota = 1, duration = format!("5 {}", "parsecs"))]
fn bad_duration() {}

#[throttle(rate = "1/h", burst = 5)]
fn burst_without_bucket() {}

#[test]
fn invalid_values_at_run_time_are_config_errors_that_name_the_function() {
    for (error, part) in [
        (bad_at_run_time(), "quota must be at least 1"),
        (bad_duration(), "unknown unit `parsecs`"),
        (
            burst_without_bucket(),
            "burst is for token_bucket, not for fixed_window",
        ),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(part) && message.contains("attribute:"),
            "{message}"
        );
    }
}

#[test]
fn a_configuration_after_the_first_use_is_refused() {
    let _ = bad_at_run_time();
    assert!(matches!(
        premier::config(premier::MemoryHandler::new()),
        Err(Error::AlreadyConfigured)
    ));
}

#[test]
fn a_keyspace_with_a_reserved_character_is_refused() {
    for keyspace in ["", "a:b", "a{b", "a}b"] {
        let config = premier::Config::new(premier::MemoryHandler::new()).keyspace(keyspace);
        assert!(
            matches!(premier::config(config), Err(Error::Config { .. })),
            "{keyspace:?}"
        );
    }
}

#[test]
fn a_limit_reports_its_capacity_quota_and_algorithm() {
    let limit = Limit::leaky_bucket(4, Duration::from_secs(1));
    assert_eq!(
        (limit.capacity(), limit.quota(), limit.algo()),
        (5, 4, Algo::LeakyBucket)
    );
}
