//! The algorithms keep their definitions, for random calls and at the ends of every range.

use std::time::Duration;

use premier::algorithms::{Plan, State};
use premier::{Algo, Limit};
use proptest::prelude::*;

const DAY: u64 = 86_400;

fn algo() -> impl Strategy<Value = Algo> {
    prop_oneof![
        Just(Algo::FixedWindow),
        Just(Algo::SlidingWindow),
        Just(Algo::SlidingLog),
        Just(Algo::TokenBucket),
        Just(Algo::LeakyBucket),
    ]
}

/// Any valid limit.
fn limit() -> impl Strategy<Value = Limit> {
    let period = prop_oneof![1_000..2_000_u64, 1_000..=366 * DAY * 1_000_000_000];
    (
        algo(),
        period,
        any::<u64>(),
        prop::option::of(1..=1_u64 << 32),
    )
        .prop_map(|(algo, period, quota, size)| {
            let most = if algo == Algo::SlidingLog {
                period.min(100_000)
            } else {
                period
            };
            let limit = Limit::new(algo, 1 + quota % most, Duration::from_nanos(period));
            match (algo, size) {
                (Algo::TokenBucket, Some(size)) => limit.burst(size),
                (Algo::LeakyBucket, Some(size)) => limit.bucket_size(size),
                _ => limit,
            }
        })
}

/// A limit with small numbers, so that edge cases are frequent.
fn small_limit() -> impl Strategy<Value = Limit> {
    (algo(), 1_000..3_000_u64, 1..8_u64)
        .prop_map(|(algo, period, quota)| Limit::new(algo, quota, Duration::from_nanos(period)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing panics, a denial changes nothing, and `retry_after` is exact to the nanosecond.
    #[test]
    fn every_denial_reports_the_first_instant_of_admission(
        limit in limit(),
        calls in prop::collection::vec((any::<u64>(), any::<u64>()), 1..40),
    ) {
        let plan = Plan::new(limit).unwrap();
        let mut state = State::default();
        let mut now = 1_u64 << 40;
        let step = (limit.period().as_nanos() as u64 / 3).max(1);
        for (pause, cost) in calls {
            now += pause % step;
            let cost = cost % plan.capacity().saturating_add(1);
            let before = state.clone();
            let decision = state.take(&plan, now, cost);
            prop_assert!(decision.remaining <= decision.limit);
            if decision.allowed {
                prop_assert!(decision.retry_after.is_zero());
                continue;
            }
            for later in [0, 1, step, 3 * step] {
                let then = now.saturating_add(later);
                prop_assert_eq!(state.peek(&plan, then, 1), before.peek(&plan, then, 1));
            }
            let Ok(wait) = u64::try_from(decision.retry_after.as_nanos()) else { continue };
            let Some(then) = now.checked_add(wait) else { continue };
            prop_assert!(wait > 0);
            prop_assert!(!state.peek(&plan, then - 1, cost).allowed, "{:?}", decision);
            prop_assert!(state.peek(&plan, then, cost).allowed, "{:?}", decision);
        }
    }

    /// After `reset_after` a key decides as a new one does, but not one nanosecond earlier.
    #[test]
    fn reset_after_is_exact(
        limit in small_limit(),
        calls in prop::collection::vec((0..1_500_u64, 1..4_u64), 1..20),
    ) {
        let plan = Plan::new(limit).unwrap();
        let mut state = State::default();
        let mut now = 1_000_000;
        for (pause, cost) in calls {
            now += pause;
            if cost <= plan.capacity() {
                let _ = state.take(&plan, now, cost);
            }
            let reset = state.peek(&plan, now, 0).reset_after.as_nanos() as u64;
            prop_assert!(state.is_fresh(&plan, now + reset));
            prop_assert!(reset == 0 || !state.is_fresh(&plan, now + reset - 1));
        }
    }

    /// Each algorithm keeps its bound over any interval.
    #[test]
    fn no_interval_admits_more_than_its_bound(
        limit in small_limit(),
        pauses in prop::collection::vec(0..400_u64, 1..200),
    ) {
        let plan = Plan::new(limit).unwrap();
        let (quota, period) = (limit.quota(), plan.period());
        let mut state = State::default();
        let mut now = 1_000_000;
        let mut runs: Vec<u64> = Vec::new();
        for pause in pauses {
            now += pause;
            let decision = state.take(&plan, now, 1);
            if decision.allowed {
                runs.push(now + decision.delay.as_nanos() as u64);
            }
        }
        for (index, start) in runs.iter().enumerate() {
            for (count, end) in (1_u64..).zip(&runs[index..]) {
                let span = u128::from(end - start);
                let refilled = span * u128::from(quota) / u128::from(period);
                let most = match limit.algo() {
                    Algo::FixedWindow => u128::from(quota) * (span / u128::from(period) + 2),
                    // The estimate may miss a part of one window.
                    Algo::SlidingWindow => u128::from(2 * quota) * (span / u128::from(period) + 1),
                    Algo::SlidingLog => u128::from(quota) * (span / u128::from(period) + 1),
                    Algo::TokenBucket => u128::from(quota) + refilled,
                    // Delays are rounded up, so two admissions may be one nanosecond closer than T.
                    _ => 1 + (span + 1) * u128::from(quota) / u128::from(period),
                };
                prop_assert!(u128::from(count) <= most, "{count} in {span} ns, at most {most}");
            }
        }
    }

    /// A refund at the same instant is the inverse of taking units.
    #[test]
    fn a_refund_restores_the_taken_units(limit in limit(), taken in any::<u64>(), back in any::<u64>()) {
        let plan = Plan::new(limit).unwrap();
        let (first, second) = (taken % plan.capacity(), back % plan.capacity());
        let now = 1 << 40;
        let mut state = State::default();
        let _ = state.take(&plan, now, first);
        let before = state.peek(&plan, now, 1);
        if state.take(&plan, now, second).allowed {
            state.refund(&plan, now, second);
        }
        prop_assert_eq!(state.peek(&plan, now, 1), before);
    }
}

#[test]
fn limits_at_the_ends_of_every_range_neither_overflow_nor_lose_units() {
    let most = Duration::from_secs(366 * DAY);
    for limit in [
        Limit::token_bucket(1, most).burst(1 << 32),
        Limit::leaky_bucket(1, most).bucket_size(1 << 32),
        Limit::token_bucket(366 * DAY * 1_000_000_000, most),
        Limit::token_bucket(366 * DAY * 1_000_000_000 - 1, most).burst(1 << 32),
        Limit::fixed_window(366 * DAY * 1_000_000_000, most),
        Limit::sliding_window(366 * DAY * 1_000_000_000, most),
        Limit::leaky_bucket(999_999_937, Duration::from_secs(1)),
        Limit::token_bucket(1, Duration::from_micros(1)),
    ] {
        let plan = Plan::new(limit).unwrap();
        for now in [0, 1, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
            let mut state = State::default();
            assert!(
                state.take(&plan, now, plan.capacity()).allowed,
                "{limit:?} at {now}"
            );
            let denied = state.take(&plan, now, 1);
            assert!(
                !denied.allowed && denied.remaining == 0,
                "{limit:?} at {now}"
            );
            state.refund(&plan, now, 1);
            assert!(state.take(&plan, now, 1).allowed, "{limit:?} at {now}");
            assert!(!state.take(&plan, now, 1).allowed, "{limit:?} at {now}");
        }
    }
}
