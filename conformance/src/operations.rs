//! Each operation, with each algorithm.

use premier::{Error, Operation};

use crate::Check;
use crate::case::{Case, MINUTE, each_algorithm, ensure};

pub(crate) const CHECKS: [Check; 8] = [
    ("a peek takes nothing", peek),
    ("a denied call takes nothing", denied),
    ("a cost above the capacity is an error", too_costly),
    ("refunded units can be taken again", refund),
    ("released units can be taken again", release),
    (
        "units that are no longer counted are not released",
        late_release,
    ),
    ("a reset key is as one never seen", reset),
    ("a key is as one never seen after reset_after", expiry),
];

fn peek(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("peek", &[limit]);
        for units in [0, 1, 3, 3] {
            let decision = limited.handle(Operation::Peek(units))?;
            ensure(
                decision.allowed && decision.remaining == 3 && decision.limit == 3,
                limited.at_step(Operation::Peek(units), format!("{decision:?}")),
            )?;
        }
        limited.admits(3, 0)?;
        let decision = limited.handle(Operation::Peek(1))?;
        ensure(
            !decision.allowed && !decision.retry_after.is_zero(),
            limited.at_step(Operation::Peek(1), format!("{decision:?}")),
        )?;
    }
    Ok(())
}

fn denied(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("denied", &[limit]);
        limited.admits(2, 1)?;
        limited.denies(2)?;
        limited.denies(3)?;
        limited.admits(1, 0)?;
    }
    Ok(())
}

fn too_costly(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("costly", &[limit]);
        let longest = MINUTE;
        for operation in [
            Operation::Take(4),
            Operation::Peek(4),
            Operation::Reserve { cost: 4, longest },
        ] {
            let result = limited.try_handle(operation);
            let is_error = matches!(
                result,
                Err(Error::CostExceedsCapacity {
                    cost: 4,
                    capacity: 3,
                    ..
                })
            );
            ensure(is_error, limited.at_step(operation, format!("{result:?}")))?;
        }
        limited.admits(3, 0)?;
    }
    Ok(())
}

fn refund(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("refund", &[limit]);
        limited.admits(3, 0)?;
        let _ = limited.handle(Operation::Refund(2))?;
        limited.admits(2, 0)?;
        // A refund returns no more units than were taken.
        let _ = limited.handle(Operation::Refund(100))?;
        limited.admits(3, 0)?;
        limited.denies(1)?;
    }
    Ok(())
}

fn release(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("release", &[limit]);
        limited.admits(1, 2)?;
        let taken = limited.admits(2, 0)?;
        limited.release(taken.reservation(), 2)?;
        limited.admits(2, 0)?;
        limited.denies(1)?;
    }
    Ok(())
}

fn late_release(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("late", &[limit]);
        let taken = limited.admits(3, 0)?;
        case.clock.advance(2 * MINUTE);
        limited.admits(3, 0)?;
        limited.release(taken.reservation(), 3)?;
        limited.denies(1)?;
    }
    Ok(())
}

fn reset(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("reset", &[limit]);
        limited.admits(3, 0)?;
        let _ = limited.handle(Operation::Reset)?;
        let fresh = limited.has(3)?;
        ensure(
            fresh.reset_after.is_zero(),
            limited.at_step(Operation::Reset, format!("{fresh:?}")),
        )?;
        limited.admits(3, 0)?;
    }
    Ok(())
}

fn expiry(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("expiry", &[limit]);
        limited.admits(1, 2)?;
        case.clock.advance(MINUTE / 10);
        let taken = limited.handle(Operation::Take(2))?;
        ensure(
            taken.allowed && !taken.reset_after.is_zero(),
            limited.at_step(Operation::Take(2), format!("{taken:?}")),
        )?;
        case.clock.advance(taken.reset_after);
        let fresh = limited.has(3)?;
        ensure(
            fresh.reset_after.is_zero(),
            limited.at_step(Operation::Peek(0), format!("{fresh:?}")),
        )?;
    }
    Ok(())
}
