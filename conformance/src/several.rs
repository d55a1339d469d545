//! Several limits on one key decide as one.

use std::time::Duration;

use premier::{Limit, Operation};

use crate::Check;
use crate::case::{Case, Limited, MINUTE, each_algorithm, ensure};

pub(crate) const CHECKS: [Check; 3] = [
    (
        "several limits take their cost together or not at all",
        together,
    ),
    (
        "a refund and a release give back to several limits",
        give_back,
    ),
    ("five limits with one state each", five),
];

fn expect_denial(limited: &Limited<'_>, retry_after: Duration) -> Result<(), String> {
    let denied = limited.denies(1)?;
    ensure(
        denied.retry_after == retry_after,
        limited.at_step(
            Operation::Take(1),
            format!("{denied:?} instead of a retry_after of {retry_after:?}"),
        ),
    )
}

fn together(case: &Case<'_>) -> Result<(), String> {
    let window = Limit::fixed_window(4, MINUTE);
    let bucket = Limit::token_bucket(2, MINUTE / 3);
    for limits in [[window, bucket], [bucket, window]] {
        let limited = case.limits("together", &limits);
        // The tightest limit is reported.
        let first = limited.admits(1, 1)?;
        ensure(
            first.limit == 2,
            format!("a limit of {} instead of 2", first.limit),
        )?;
        limited.admits(1, 0)?;
        // The bucket denies, and the window counts two units still.
        for _ in 0..3 {
            expect_denial(&limited, MINUTE / 6)?;
        }
        case.clock.advance(MINUTE / 3);
        limited.admits(2, 0)?;
        // Both deny: the window for longer.
        expect_denial(&limited, MINUTE * 2 / 3)?;
        case.clock.advance(MINUTE / 3);
        // The window denies, and the bucket, which is full, keeps its units.
        for _ in 0..3 {
            expect_denial(&limited, MINUTE / 3)?;
        }
        case.clock.advance(MINUTE / 3);
        limited.admits(2, 0)?;
    }
    Ok(())
}

fn give_back(case: &Case<'_>) -> Result<(), String> {
    let limits = [
        Limit::sliding_log(3, MINUTE),
        Limit::token_bucket(3, MINUTE),
        Limit::fixed_window(4, MINUTE),
    ];
    let limited = case.limits("back", &limits);
    let taken = limited.admits(3, 0)?;
    limited.release(taken.reservation(), 3)?;
    limited.admits(3, 0)?;
    let _ = limited.handle(Operation::Refund(1))?;
    limited.admits(1, 0)?;
    let _ = limited.handle(Operation::Reset)?;
    limited.admits(3, 0)?;
    limited.denies(1)?;
    Ok(())
}

fn five(case: &Case<'_>) -> Result<(), String> {
    let limited = case.limits("five", &each_algorithm(3));
    let taken = limited.admits(2, 1)?;
    limited.admits(1, 0)?;
    limited.denies(1)?;
    case.clock.advance(2 * MINUTE);
    // Units that no longer count are not given back.
    limited.admits(3, 0)?;
    limited.release(taken.reservation(), 2)?;
    limited.denies(1)?;
    Ok(())
}
