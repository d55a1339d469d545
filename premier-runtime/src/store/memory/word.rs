//! The state of a bucket as one word.
//!
//! A bucket's whole state is one instant, and mostly it fits a word: ticks since an origin that the
//! limits of a table share. What is decided by such a word is what
//! [`State`](crate::algorithms::State) decides.

use crate::algorithms::{Plan, State};
use crate::limit::algo::Algo;

/// What a word says of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Admitted,
    /// For so many nanoseconds.
    Denied(u64),
    /// The state has to be asked.
    Unknown,
}

/// What the words of a table count in. It never changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// How many ticks a nanosecond has.
    den: u64,
    /// In nanoseconds.
    origin: u64,
    /// How many nanoseconds after the origin still fit a word.
    longest: u64,
}

/// Times and debts below this are kept in a word, and instants below twice of it: sums of three fit.
const LARGEST: u64 = 1 << 62;

impl Scale {
    /// `den` ticks a nanosecond from now on.
    pub(super) const fn new(den: u64, now: u64) -> Self {
        Self {
            den,
            origin: now,
            longest: (LARGEST - 1) / den,
        }
    }

    #[inline]
    pub(super) fn ticks(self, now: u64) -> Option<u64> {
        // What lies before the origin wraps, and is longer than any.
        let elapsed = now.wrapping_sub(self.origin);
        (elapsed <= self.longest).then(|| elapsed * self.den)
    }

    /// The word for the state of a limit; below [`LARGEST`]. `None` when it does not fit.
    pub(super) fn word_of(self, state: &State, plan: &Plan) -> Option<u64> {
        if !is_bucket(plan) {
            return None;
        }
        let ticks = state.instant(self.den)?;
        // What lies before the origin is past, and all that is past is alike.
        u64::try_from(ticks.saturating_sub(self.origin()))
            .ok()
            .filter(|ticks| *ticks < LARGEST)
    }

    pub(super) fn state_of(self, word: u64) -> State {
        State::at_instant(self.origin() + u128::from(word), self.den)
    }

    /// Whether the instant has passed.
    pub(super) fn is_idle(self, word: u64, now: u64) -> bool {
        match self.ticks(now) {
            Some(now) => word <= now,
            None => self.state_of(word).is_idle(0, now),
        }
    }

    fn origin(self) -> u128 {
        u128::from(self.origin) * u128::from(self.den)
    }
}

fn is_bucket(plan: &Plan) -> bool {
    matches!(plan.limit().algo(), Algo::TokenBucket | Algo::LeakyBucket)
}

/// By how much calls move the instant of a bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    interval: u64,
    /// The most that a call may cost; by default there is none that may.
    capacity: u64,
}

impl Steps {
    /// Whether there are any.
    pub(super) const fn is_any(&self) -> bool {
        self.capacity > 0
    }

    /// Whether a call may cost this, and does cost something.
    #[inline]
    pub(super) const fn has(&self, cost: u64) -> bool {
        // A cost of 0 wraps.
        cost.wrapping_sub(1) < self.capacity
    }

    /// In ticks. It is not more than a full debt, so it fits.
    #[inline]
    pub(super) const fn of(&self, cost: u64) -> u64 {
        cost * self.interval
    }
}

/// A limit as far as a word's decision needs it: the generic cell rate algorithm on ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    scale: Scale,
    steps: Steps,
    full: u64,
    is_queue: bool,
}

impl Gcra {
    /// For a limit whose states fit words of this scale.
    pub(super) fn new(plan: &Plan, scale: Scale) -> Option<Self> {
        let full = u64::try_from(plan.full())
            .ok()
            .filter(|full| *full < LARGEST)?;
        (is_bucket(plan) && scale.den == plan.den()).then(|| Self {
            scale,
            steps: Steps {
                interval: plan.interval(),
                capacity: plan.capacity(),
            },
            full,
            is_queue: plan.limit().algo() == Algo::LeakyBucket,
        })
    }

    /// The word after a call was admitted, or why there is none.
    #[inline]
    pub(super) fn step(&self, word: u64, now: u64, cost: u64) -> Result<u64, Verdict> {
        self.step_into(word, now, cost, 0)
    }

    /// The same for one that takes a slot of a queue which comes `soon`, in nanoseconds: it has to
    /// wait until the instant [has come](Self::has_come).
    #[inline(always)]
    pub(super) fn step_into(
        &self,
        word: u64,
        now: u64,
        cost: u64,
        soon: u64,
    ) -> Result<u64, Verdict> {
        let Some(now) = self.scale.ticks(now).filter(|_| self.steps.has(cost)) else {
            return Err(Verdict::Unknown);
        };
        let cost = self.steps.of(cost);
        // Without a branch for a bucket that owes nothing: `max` is a move on a condition, and costs
        // a tenth less.
        let from = word.max(now);
        // Not above `full`.
        let room = self.full - cost;
        let room = match self.is_queue {
            // A queue admits at once only whoever has nothing to wait for.
            true => room.min(soon.saturating_mul(self.scale.den)),
            false => room,
        };
        if from - now <= room {
            return Ok(from + cost);
        }
        Err(self.refusal(word, now, cost))
    }

    #[inline]
    pub(super) fn has_come(&self, word: u64, now: u64) -> bool {
        self.scale.ticks(now).is_none_or(|now| word <= now)
    }

    /// What [`Keyless`](super::keyless::Keyless) has for a bucket that owes until `now`.
    pub(super) fn word_at(&self, now: u64) -> Option<u64> {
        self.scale.ticks(now).map(|ticks| ticks + 1)
    }

    /// The ticks of so many units, or of all there are.
    pub(super) fn ticks_of_units(&self, units: u64) -> u64 {
        self.steps.of(units.min(self.steps.capacity))
    }

    pub(super) const fn steps(&self) -> Steps {
        self.steps
    }

    /// The ticks of a full debt.
    pub(super) const fn full(&self) -> u64 {
        self.full
    }

    /// The same in nanoseconds.
    pub(super) const fn longest_debt(&self) -> u64 {
        self.full / self.scale.den
    }

    /// How many units there are under a word, and in how many nanoseconds all will be.
    #[cfg(feature = "tower")]
    pub(super) fn left(&self, word: u64, now: u64) -> Option<(u64, u64)> {
        let debt = word.saturating_sub(self.scale.ticks(now)?);
        let left = self.full.checked_sub(debt)? / self.steps.interval;
        Some((left, debt.div_ceil(self.scale.den)))
    }

    #[cfg(feature = "tower")]
    pub(super) const fn capacity(&self) -> u64 {
        self.steps.capacity
    }

    /// Of an instant that lies ahead of `now`.
    // Apart, for a division needs the registers that an admitted call does without.
    #[inline(never)]
    fn refusal(&self, word: u64, now: u64, cost: u64) -> Verdict {
        // Further ahead than a full debt only a clock that stepped back can have put it.
        if self.is_queue || word > now + self.full {
            return Verdict::Unknown;
        }
        Verdict::Denied((word + cost - now - self.full).div_ceil(self.scale.den))
    }
}
