//! The one instant that is the whole state of a token bucket and of a leaky bucket.
//!
//! GCRA calls it the theoretical arrival time (TAT): when the next unit would be due if units came
//! exactly one emission interval apart (ITU-T I.371, annex A).

use super::Plan;

/// An instant in ticks of 1/den nanosecond.
///
/// The denominator belongs to the instant, so that a limit whose rate changes at run time reads
/// the same point in time and not a multiple of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tat {
    ticks: u128,
    den: u64,
}

impl Tat {
    #[cfg(feature = "redis")]
    pub(super) fn ahead(plan: &Plan, now: u64, ahead: u128) -> Self {
        let now = u128::from(now) * u128::from(plan.den());
        Self {
            ticks: now.saturating_add(ahead),
            den: plan.den(),
        }
    }

    /// The instant and `now` in the ticks of `plan`. The instant is never in the past, and never
    /// further ahead than a full debt: beyond that only a clock that stepped back, or a limit
    /// that was changed, can have put it.
    pub(super) fn read(&self, plan: &Plan, now: u64) -> (u128, u128) {
        let now = u128::from(now) * u128::from(plan.den());
        let ticks = self.in_ticks_of(plan);
        (ticks.clamp(now, now + plan.full()), now)
    }

    /// See [`State::admit`](super::State::admit). A token bucket admits as long as the debt fits, a
    /// queue only whoever does not have to wait.
    #[inline]
    pub(super) fn admit(&mut self, plan: &Plan, now: u64, cost: u64, waits: bool) -> bool {
        if self.den != plan.den() || cost > plan.capacity() {
            return false;
        }
        let now = u128::from(now) * u128::from(self.den);
        let from = self.ticks.max(now);
        let to = from + plan.ticks(cost);
        let admitted = if waits {
            from == now
        } else {
            to - now <= plan.full()
        };
        if admitted {
            self.ticks = to;
        }
        admitted
    }

    /// The instant in ticks, and how many of them a nanosecond has.
    pub(super) const fn parts(&self) -> (u128, u64) {
        (self.ticks, self.den)
    }

    pub(super) const fn of_parts(ticks: u128, den: u64) -> Self {
        Self { ticks, den }
    }

    /// Keeps the instant within a full debt from now; whether it was beyond.
    pub(super) fn settle(&mut self, plan: &Plan, now: u64) -> bool {
        let latest = u128::from(now) * u128::from(plan.den()) + plan.full();
        let ahead = self.in_ticks_of(plan) > latest;
        if ahead {
            self.write(plan, latest);
        }
        ahead
    }

    pub(super) fn write(&mut self, plan: &Plan, ticks: u128) {
        *self = Self {
            ticks,
            den: plan.den(),
        };
    }

    pub(super) fn ends_at(&self, plan: &Plan, ticks: u128) -> bool {
        self.den == plan.den() && self.ticks == ticks
    }

    fn in_ticks_of(&self, plan: &Plan) -> u128 {
        match self.den {
            den if den == plan.den() => self.ticks,
            0 => 0,
            den => rescale(self.ticks, den, plan.den()),
        }
    }

    pub(super) fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        let (ticks, now) = self.read(plan, now);
        let given = plan.ticks(units.min(plan.capacity()));
        self.write(plan, ticks.saturating_sub(given).max(now));
    }

    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.ticks <= u128::from(now) * u128::from(self.den)
    }
}

/// Rounded up: a change of the rate never gives credit.
fn rescale(ticks: u128, from: u64, to: u64) -> u128 {
    let (from, to) = (u128::from(from), u128::from(to));
    let (whole, rest) = (ticks / from, ticks % from);
    whole
        .saturating_mul(to)
        .saturating_add((rest * to).div_ceil(from))
}
