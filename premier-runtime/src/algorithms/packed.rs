//! The packed representation: the state of a bucket in one word.
//!
//! The state of a bucket is one instant, counted in ticks since the origin of a [`TimeBase`], which
//! all limits of a table share. An instant that does not fit is kept as a [`State`].

use super::gcra::LARGEST;
use super::plan::Plan;
use super::rule::Rule;
use super::state::State;

/// The unit and the origin of the packed states of a table. It never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBase {
    /// Ticks in a nanosecond.
    den: u64,
    /// In nanoseconds.
    origin: u64,
    /// The number of nanoseconds after the origin that fit a word.
    longest: u64,
}

impl TimeBase {
    /// `den` ticks a nanosecond, counted from `now`.
    pub(crate) const fn new(den: u64, now: u64) -> Self {
        Self {
            den,
            origin: now,
            longest: (LARGEST - 1) / den,
        }
    }

    /// The packed form of the limit, if its states are words of this base.
    pub(crate) fn rule(self, plan: &Plan) -> Option<Rule<u64>> {
        plan.rule().narrow().filter(|rule| match rule {
            Rule::Gcra(gcra) => gcra.den() == self.den,
            Rule::Log(_) | Rule::Window(_) => true,
        })
    }

    #[inline]
    pub(crate) fn ticks(&self, now: u64) -> Option<u64> {
        // An instant before the origin wraps, and so is later than any.
        let elapsed = now.wrapping_sub(self.origin);
        (elapsed <= self.longest).then(|| elapsed * self.den)
    }

    /// The instant of a word in ticks since the clock's own origin.
    pub(crate) fn absolute(&self, word: u64) -> u128 {
        u128::from(self.origin) * u128::from(self.den) + u128::from(word)
    }

    /// The word of a bucket's state, below 2^62; `None` when it does not fit.
    pub(crate) fn pack(self, state: &State, plan: &Plan) -> Option<u64> {
        if !matches!(plan.rule(), Rule::Gcra(_)) {
            return None;
        }
        let ticks = state.instant(self.den)?;
        // Instants before the origin are past, and decide alike.
        u64::try_from(ticks.saturating_sub(self.absolute(0)))
            .ok()
            .filter(|ticks| *ticks < LARGEST)
    }

    pub(crate) fn unpack(self, word: u64) -> State {
        State::at_instant(self.absolute(word), self.den)
    }

    /// Whether the instant has passed.
    pub(crate) fn is_idle(self, word: u64, now: u64) -> bool {
        match self.ticks(now) {
            Some(now) => word <= now,
            None => self.unpack(word).is_idle(0, now),
        }
    }
}
