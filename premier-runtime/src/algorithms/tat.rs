//! The theoretical arrival time as a store keeps it.

use super::gcra::Gcra;

/// Debts and charges stay below 2^121, so their sums with this fit.
const LATEST: u128 = 1 << 126;

/// An instant in ticks of 1/den nanosecond.
///
/// The denominator belongs to the instant, so that a limit whose rate has changed at run time reads the instant and
/// not a multiple of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tat {
    /// The high and the low half. A `u128` would align every [`State`](super::State) to 16 bytes, which would take
    /// half as much memory again.
    halves: [u64; 2],
    pub(super) den: u64,
}

impl Tat {
    pub(super) const fn new(ticks: u128, den: u64) -> Self {
        Self {
            halves: [(ticks >> 64) as u64, ticks as u64],
            den,
        }
    }

    pub(super) const fn ticks(&self) -> u128 {
        let [high, low] = self.halves;
        (high as u128) << 64 | low as u128
    }

    /// The instant in the ticks of `gcra`, at most a full debt after `now` (in ticks), and whether it
    /// lay further ahead.
    pub(super) fn read(&self, gcra: &Gcra<u128>, now: u128) -> (u128, bool) {
        let ticks = self.in_ticks_of(gcra.den());
        let latest = now + gcra.full();
        (ticks.min(latest), ticks > latest)
    }

    /// The instant in the ticks of `gcra`, however far ahead it lies, as far as sums with it fit.
    pub(super) fn read_reserved(&self, gcra: &Gcra<u128>) -> u128 {
        self.in_ticks_of(gcra.den()).min(LATEST)
    }

    pub(super) fn is_past(&self, now: u64) -> bool {
        self.ticks() <= u128::from(now) * u128::from(self.den)
    }

    /// How many nanoseconds the instant lies after `now`, rounded up; 0 if it is past.
    pub(super) fn ahead_of(&self, now: u64) -> u128 {
        let now = u128::from(now) * u128::from(self.den);
        match self.ticks().saturating_sub(now) {
            0 => 0,
            ticks => ticks.div_ceil(u128::from(self.den)),
        }
    }

    fn in_ticks_of(&self, den: u64) -> u128 {
        match self.den {
            own if own == den => self.ticks(),
            0 => 0,
            own => rescale(self.ticks(), own, den),
        }
    }
}

/// The TAT of a bucket that owes more than a full debt, because callers wait for their slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reserved {
    pub(super) tat: Tat,
    /// When the TAT was stored, in nanoseconds.
    pub(super) stored: u64,
    /// The full debt of the limit that stored it, in ticks of `tat`.
    pub(super) full: u128,
}

impl Reserved {
    /// Whether callers still wait. What is owed once all have been admitted is at most a full debt; a time
    /// before this was stored shows that the clock has stepped back.
    pub(super) fn is_waited_for(&self, now: u64) -> bool {
        let at = u128::from(now) * u128::from(self.tat.den);
        self.stored <= now && self.tat.ticks() > at.saturating_add(self.full)
    }

    /// The full debt in ticks of which a nanosecond has `den`.
    pub(super) fn full_in_ticks_of(&self, den: u64) -> u128 {
        Tat::new(self.full, self.tat.den).in_ticks_of(den)
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
