//! Charges, which take units whether or not a limit admits them.

use std::time::Duration;

use premier::Operation;

use crate::Check;
use crate::case::{Case, Limited, MINUTE, each_algorithm, ensure};

pub(crate) const CHECKS: [Check; 3] = [
    ("charged units are taken", charge),
    ("later calls pay for units that are owed", debt),
    ("a key owes max_debt at most", max_debt),
];

fn charged(limited: &Limited<'_>, units: u64, max_debt: Option<u64>) -> Result<(), String> {
    limited
        .handle(Operation::Charge { units, max_debt })
        .map(drop)
}

fn charge(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        let limited = case.limits("charge", &[limit]);
        charged(&limited, 1, None)?;
        limited.has(2)?;
        charged(&limited, 1, Some(0))?;
        limited.admits(1, 0)?;
        charged(&limited, 1, Some(0))?;
        limited.denies(1)?;
        case.clock.advance(2 * MINUTE);
        limited.admits(3, 0)?;
    }
    Ok(())
}

fn debt(case: &Case<'_>) -> Result<(), String> {
    let nanosecond = Duration::from_nanos(1);
    // When a unit is admitted again, and what is left then.
    let expected = [
        (MINUTE, 0),
        // Once nothing of the three units in the window before counts.
        (MINUTE + MINUTE * 2 / 3 + nanosecond, 0),
        // All units have left the log.
        (MINUTE, 2),
        (MINUTE, 0),
        (MINUTE, 0),
    ];
    for (limit, (expected, remaining)) in each_algorithm(3).into_iter().zip(expected) {
        let limited = case.limits("debt", &[limit]);
        limited.admits(3, 0)?;
        charged(&limited, 2, None)?;
        let denied = limited.denies(1)?;
        let late = denied.retry_after.checked_sub(expected);
        ensure(
            late.is_some_and(|late| late < case.resolution),
            limited.at_step(Operation::Take(1), format!("{:?}", *denied)),
        )?;
        case.clock.advance(denied.retry_after);
        limited.admits(1, remaining)?;
        let reset_after = limited.has(remaining)?.reset_after;
        case.clock.advance(reset_after);
        limited.admits(3, 0)?;
    }
    Ok(())
}

fn max_debt(case: &Case<'_>) -> Result<(), String> {
    for limit in each_algorithm(3) {
        for (units, stated, most) in [(1_000, Some(1), 1), (u64::MAX, Some(7), 7), (4, None, 3)] {
            let limited = case.limits(&format!("max_debt {most}"), &[limit]);
            let other = limited.of("other");
            for key in [&limited, &other] {
                key.admits(3, 0)?;
            }
            charged(&limited, units, stated)?;
            charged(&limited, 1, stated)?;
            charged(&other, most, Some(most))?;
            for cost in [1, 2, 3] {
                let peek = Operation::Peek(cost);
                let (got, expected) = (limited.handle(peek)?, other.handle(peek)?);
                ensure(
                    !got.allowed
                        && got.retry_after == expected.retry_after
                        && got.reset_after == expected.reset_after,
                    limited.at_step(peek, format!("{got:?} instead of {expected:?}")),
                )?;
            }
        }
    }
    Ok(())
}
