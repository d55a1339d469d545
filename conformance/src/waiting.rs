//! Callers that may wait reserve slots.

use std::time::Duration;

use premier::{Limit, Operation};

use crate::Check;
use crate::case::{Case, MINUTE, ensure};

pub(crate) const CHECKS: [Check; 5] = [
    (
        "slots follow one another in the order of the callers",
        in_order,
    ),
    ("a slot beyond the longest wait is not taken", longest),
    (
        "the last slot can be released, and is taken next",
        last_slot,
    ),
    ("a slot between two others stays taken", middle_slot),
    (
        "windows and logs decide about a reservation as about a take",
        windows,
    ),
];

/// Buckets in which a slot is a minute.
fn buckets() -> [Limit; 2] {
    [
        Limit::token_bucket(1, MINUTE),
        Limit::leaky_bucket(1, MINUTE).bucket_size(4),
    ]
}

fn in_order(case: &Case<'_>) -> Result<(), String> {
    for limit in buckets() {
        let limited = case.limits("order", &[limit]);
        for slot in 0..4 {
            limited.reserves(1, slot * MINUTE)?;
        }
        case.clock.advance(MINUTE);
        limited.reserves(1, 3 * MINUTE)?;
        case.clock.advance(4 * MINUTE);
        limited.reserves(1, Duration::ZERO)?;
    }
    Ok(())
}

fn longest(case: &Case<'_>) -> Result<(), String> {
    for limit in buckets() {
        let limited = case.limits("longest", &[limit]);
        for slot in 0..3 {
            limited.reserves(1, slot * MINUTE)?;
        }
        let reserve = |longest| Operation::Reserve { cost: 1, longest };
        let short = reserve(3 * MINUTE - Duration::from_millis(1));
        for _ in 0..2 {
            let denied = limited.handle(short)?;
            ensure(
                !denied.allowed && denied.retry_after == 3 * MINUTE,
                limited.at_step(short, format!("{denied:?}")),
            )?;
        }
        let taken = limited.handle(reserve(3 * MINUTE))?;
        ensure(
            taken.allowed && taken.delay == 3 * MINUTE,
            limited.at_step(reserve(3 * MINUTE), format!("{taken:?}")),
        )?;
    }
    Ok(())
}

fn last_slot(case: &Case<'_>) -> Result<(), String> {
    for limit in buckets() {
        let limited = case.limits("last", &[limit]);
        limited.reserves(1, Duration::ZERO)?;
        limited.reserves(1, MINUTE)?;
        let last = limited.reserves(1, 2 * MINUTE)?;
        limited.release(last.reservation(), 1)?;
        // Nothing more is given back.
        limited.release(last.reservation(), 1)?;
        limited.reserves(1, 2 * MINUTE)?;
    }
    Ok(())
}

fn middle_slot(case: &Case<'_>) -> Result<(), String> {
    for limit in buckets() {
        let limited = case.limits("middle", &[limit]);
        limited.reserves(1, Duration::ZERO)?;
        let middle = limited.reserves(1, MINUTE)?;
        limited.reserves(1, 2 * MINUTE)?;
        limited.release(middle.reservation(), 1)?;
        limited.reserves(1, 3 * MINUTE)?;
    }
    Ok(())
}

fn windows(case: &Case<'_>) -> Result<(), String> {
    let limits = [
        Limit::fixed_window(1, MINUTE),
        Limit::sliding_window(1, MINUTE),
        Limit::sliding_log(1, MINUTE),
    ];
    for limit in limits {
        let limited = case.limits("windows", &[limit]);
        limited.reserves(1, Duration::ZERO)?;
        let reserve = Operation::Reserve {
            cost: 1,
            longest: Duration::MAX,
        };
        let denied = limited.handle(reserve)?;
        ensure(
            !denied.allowed && denied.retry_after >= MINUTE,
            limited.at_step(reserve, format!("{denied:?}")),
        )?;
    }
    Ok(())
}
