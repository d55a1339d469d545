//! Times in microseconds, in which the server's clock counts.

use std::time::Duration;

use crate::algorithms::Plan;
use crate::clock::after;
use crate::limit::decision::Decision;
use crate::store::request::Operation;

/// Converts ticks of a plan (1 / `plan.den()` nanoseconds) to whole microseconds and a remainder. The
/// remainder is counted in the largest unit that divides every multiple of the emission interval.
pub(super) struct MicroScale {
    /// Ticks per microsecond.
    micro: u128,
    /// Ticks per unit of the remainder.
    unit: u128,
    /// Units of the remainder per microsecond.
    den: u128,
}

impl MicroScale {
    pub(super) fn of(plan: &Plan) -> Self {
        let micro = u128::from(plan.den()) * 1_000;
        // gcd(interval, den * 1,000) is gcd(interval, 1,000), because interval and den are coprime.
        let unit = u128::from(greatest_common_divisor(plan.interval() % 1_000, 1_000));
        Self {
            micro,
            unit,
            den: micro / unit,
        }
    }

    /// How many remainders make a microsecond.
    pub(super) fn den(&self) -> u128 {
        self.den
    }

    /// How far the TAT of an admitted call may be ahead, how far it can be at most without waiting callers, and by
    /// how much the call moves it.
    pub(super) fn times(&self, plan: &Plan, operation: Operation, cost: u64) -> [(u128, u128); 3] {
        let (full, charge) = (plan.ticks(plan.capacity()), plan.ticks(cost));
        let allowance = match operation {
            Operation::Reserve { longest, .. } => {
                let at_once = if plan.is_queue() { charge } else { full };
                at_once + self.join(u128::from(whole_micros(longest) / 1_000), 0)
            }
            Operation::Charge { max_debt, .. } => full + plan.ticks(plan.max_debt(max_debt)),
            _ => full,
        };
        [allowance, full, charge].map(|ticks| self.split(ticks))
    }

    pub(super) fn split(&self, ticks: u128) -> (u128, u128) {
        (ticks / self.micro, ticks % self.micro / self.unit)
    }

    pub(super) fn join(&self, whole: u128, rest: u128) -> u128 {
        whole
            .saturating_mul(self.micro)
            .saturating_add(rest.saturating_mul(self.unit))
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// How long a caller may wait, in nanoseconds of whole microseconds, because the server's clock counts those.
pub(super) fn whole_micros(longest: Duration) -> u64 {
    after(0, longest) / 1_000 * 1_000
}

/// Rounds the times of a decision up to whole microseconds, because the server's clock counts those.
pub(super) fn round_up_to_micros(decision: Decision) -> Decision {
    let up = |duration: Duration| {
        let beyond = duration.subsec_nanos() % 1_000;
        if beyond == 0 {
            duration
        } else {
            duration.saturating_add(Duration::from_nanos(u64::from(1_000 - beyond)))
        }
    };
    Decision {
        more_after: up(decision.more_after),
        retry_after: up(decision.retry_after),
        reset_after: up(decision.reset_after),
        delay: up(decision.delay),
        ..decision
    }
}
