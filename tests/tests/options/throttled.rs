//! The options of `#[throttle]`.

use super::*;

#[test]
fn a_cost_from_an_argument_is_admitted_while_it_fits() {
    let shapes = shapes!(|calls, what, key| #[throttle(quota = 10, duration = 60, cost = what)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(4, 1), "{shape}");
        assert!(!subject.denied(4, 1), "{shape}");
        assert!(subject.denied(4, 1), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
        assert!(subject.denied(1, 1), "{shape}");
        let never = subject.refusal(11, 1);
        assert!(
            matches!(never, Error::CostExceedsCapacity { cost: 11, .. }),
            "{shape}"
        );
    });
}

#[test]
fn a_constant_cost_is_taken_by_every_call() {
    let shapes = shapes!(|calls, what, key| #[throttle(quota = 10, duration = 60, cost = 3)]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 3, "{shape}");
    });
}

#[test]
fn a_key_may_be_any_expression_over_the_arguments() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 1, duration = 60, key = what + key)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(1, 2), "{shape}");
        assert!(subject.denied(2, 1), "{shape}");
        assert!(!subject.denied(2, 2), "{shape}");
    });
}

#[test]
fn a_keymaker_receives_every_argument_in_order() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 1, duration = 60, keymaker = |_, what, key| format!("{what}:{key}"))]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(1, 2), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
        assert!(!subject.denied(1, 1), "{shape}");
        assert!(subject.denied(1, 2), "{shape}");
    });
}

#[test]
fn each_key_takes_costs_from_its_own_quota() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(rate = "5/min", key = key, cost = what)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(3, 1), "{shape}");
        assert!(subject.denied(3, 1), "{shape}");
        assert!(!subject.denied(3, 2), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
    });
}

#[test]
fn a_rate_is_a_quota_and_a_duration() {
    let shapes = shapes!(|calls, what, key| #[throttle(rate = "3/20s")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 3, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(20 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn every_one_of_several_limits_applies() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(limits("2/10s", "3/h"), algo = "fixed_window")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 2, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
        CLOCK.advance(10 * SECOND);
        assert_eq!(admitted(subject), 1, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(3_590 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn the_named_algorithm_decides() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 2, duration = 20, algo = "token_bucket")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 2, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn a_burst_is_the_capacity_of_a_token_bucket() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 1, duration = 10, algo = "token_bucket", burst = 4)]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 4, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn a_bucket_size_bounds_the_wait_for_a_slot() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 1, duration = 10, algo = "leaky_bucket", bucket_size = 2, cost = what)]);
    each(shapes, |subject, shape| {
        // This call takes three slots, and the next call begins after them.
        assert!(took(|| assert!(!subject.denied(3, 1))).is_zero(), "{shape}");
        assert_eq!(
            subject.refusal(1, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
        CLOCK.advance(10 * SECOND);
        assert_eq!(
            took(|| assert!(!subject.denied(1, 1))),
            20 * SECOND,
            "{shape}"
        );
    });
}

#[test]
fn with_wait_every_call_waits_until_it_is_admitted() {
    let shapes = shapes!(|calls, what, key| #[throttle(quota = 1, duration = 10, wait)]);
    each(shapes, |subject, shape| {
        let length = took(|| {
            for _ in 0..3 {
                assert!(!subject.denied(0, 1), "{shape}");
            }
        });
        assert_eq!(length, 20 * SECOND, "{shape}");
    });
}

#[test]
fn a_wait_longer_than_the_maximum_fails_at_once() {
    let shapes = shapes!(|calls, what, key| #[throttle(quota = 1, duration = 10, wait = "4s")]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(0, 1), "{shape}");
        assert!(took(|| assert!(subject.denied(0, 1))).is_zero(), "{shape}");
        CLOCK.advance(6 * SECOND);
        assert_eq!(
            took(|| assert!(!subject.denied(0, 1))),
            4 * SECOND,
            "{shape}"
        );
    });
}

#[test]
fn functions_with_one_name_share_a_quota() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 6, duration = 60, name = "shared by all shapes")]);
    each(shapes, |subject, shape| {
        for _ in 0..3 {
            assert_eq!(
                subject.denied(0, 1),
                !matches!(shape, "sync" | "async"),
                "{shape}"
            );
        }
    });
}

#[test]
fn on_reject_returns_a_value_instead_of_the_error() {
    let shapes = shapes!(|calls, what, key|
        #[throttle(quota = 1, duration = 60, on_reject = |_| Ok(Some(77)))]);
    each(shapes, |subject, shape| {
        assert_eq!(subject.call(0, 1).unwrap(), Some(1), "{shape}");
        assert_eq!(subject.call(0, 1).unwrap(), Some(77), "{shape}");
        assert_eq!(subject.count(), 1, "{shape}");
    });
}
