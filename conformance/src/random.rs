//! Random operations, compared with the pure functions that decide in memory.

use std::time::Duration;

use premier::algorithms::State;
use premier::clock::Clock;
use premier::{Decision, Limit, Operation};

use crate::Check;
use crate::case::{Case, MINUTE, each_algorithm, ensure};

pub(crate) const CHECKS: [Check; 2] = [
    ("random operations on one limit", one_limit),
    ("random operations on several limits", several_limits),
];

const OPERATIONS: u64 = 150;

fn one_limit(case: &Case<'_>) -> Result<(), String> {
    // Windows whose ends are no whole microseconds.
    let odd = [
        Limit::fixed_window(3, MINUTE / 7),
        Limit::sliding_window(3, MINUTE / 7),
    ];
    let limits = each_algorithm(5)
        .into_iter()
        .chain(each_algorithm(7))
        .chain(odd);
    for (seed, limit) in (1..).zip(limits) {
        check(case, seed, &[limit])?;
    }
    Ok(())
}

fn several_limits(case: &Case<'_>) -> Result<(), String> {
    let [fixed, sliding, log, token, leaky] = each_algorithm(5);
    let faster = Limit::token_bucket(3, MINUTE / 7);
    let groups: [&[Limit]; 4] = [
        &[fixed, token],
        &[faster, sliding, log],
        &[token, leaky],
        &[leaky, fixed, log, sliding, faster],
    ];
    for (seed, limits) in (100..).zip(groups) {
        check(case, seed, limits)?;
    }
    Ok(())
}

/// The numbers of xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

fn check(case: &Case<'_>, seed: u64, limits: &[Limit]) -> Result<(), String> {
    let limited = case.limits(&format!("random {seed}"), limits);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut states = vec![State::default(); limits.len()];
    // Admitted calls that may still be released: the decision of the handler, the expected one, and the units.
    let mut taken = Vec::new();
    for _ in 0..OPERATIONS {
        if random.below(3) == 0 {
            // Whole milliseconds, for stores that count in milliseconds.
            case.clock
                .advance(Duration::from_millis(random.below(20_000)));
        }
        let units = random.below(4);
        let (operation, expected) = match random.below(14) {
            0 => same(Operation::Reset),
            1 => same(Operation::Peek(units)),
            2 => same(Operation::Refund(units)),
            3 | 4 if !taken.is_empty() => {
                let index = random.below(taken.len() as u64) as usize;
                let (got, expected, units): (Decision, Decision, u64) = taken.swap_remove(index);
                let release = |of: Decision| Operation::Release(*of.reservation(), units);
                (release(got), release(expected))
            }
            12 | 13 => same(Operation::Charge {
                units: 2 * units,
                max_debt: Some(random.below(12)).filter(|debt| *debt < 9),
            }),
            5..=7 => same(Operation::Reserve {
                cost: units,
                longest: Duration::from_millis(random.below(90_000)),
            }),
            _ => same(Operation::Take(units)),
        };
        let got = limited.handle(operation)?;
        let expected = limited
            .request(expected)
            .apply(&mut states, case.clock.now())
            .map_err(|error| error.to_string())?;
        let is_close = |got: Duration, expected: Duration| {
            expected <= got && got < expected.saturating_add(case.resolution)
        };
        ensure(
            got.allowed == expected.allowed
                && got.limit == expected.limit
                && got.remaining == expected.remaining
                // Optional for a store.
                && (got.more_after.is_zero() || is_close(got.more_after, expected.more_after))
                && is_close(got.retry_after, expected.retry_after)
                && is_close(got.reset_after, expected.reset_after)
                && is_close(got.delay, expected.delay),
            limited.at_step(operation, format!("{got:?} instead of {expected:?}")),
        )?;
        if let Operation::Take(_) | Operation::Reserve { .. } = operation
            && got.allowed
        {
            taken.push((got, expected, units));
        }
    }
    Ok(())
}

fn same(operation: Operation) -> (Operation, Operation) {
    (operation, operation)
}
