//! The state of a bucket as one word.
//!
//! A bucket's whole state is one instant, and mostly it fits a word: ticks since an origin that the
//! limits of a table share. What is decided by such a word is what
//! [`State`](crate::algorithms::State) decides.

use crate::Algo;
use crate::algorithms::{Plan, State};

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
}

/// Instants and debts below this are kept in a word: sums of three fit.
const LARGEST: u64 = 1 << 62;

impl Scale {
    /// `den` ticks a nanosecond from now on.
    pub(super) const fn new(den: u64, now: u64) -> Self {
        Self { den, origin: now }
    }

    #[inline]
    fn ticks(self, now: u64) -> Option<u64> {
        let ticks = now.checked_sub(self.origin)?.checked_mul(self.den)?;
        (ticks < LARGEST).then_some(ticks)
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

/// A limit as far as a word's decision needs it: the generic cell rate algorithm on ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    scale: Scale,
    interval: u64,
    full: u64,
    capacity: u64,
    /// Whether it is a queue, which admits at once only whoever has nothing to wait for.
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
            interval: plan.interval(),
            full,
            capacity: plan.capacity(),
            is_queue: plan.limit().algo() == Algo::LeakyBucket,
        })
    }

    /// The word after a call was admitted, or why there is none.
    #[inline]
    pub(super) fn step(&self, word: u64, now: u64, cost: u64) -> Result<u64, Verdict> {
        if cost == 0 || cost > self.capacity {
            return Err(Verdict::Unknown);
        }
        let Some(now) = self.scale.ticks(now) else {
            return Err(Verdict::Unknown);
        };
        // Not more than `full`, so it fits.
        let cost = cost * self.interval;
        // A branch and not `max`: in a bucket in use the new word does not depend on the time, and
        // the processor need not wait for it.
        if word <= now {
            return Ok(now + cost);
        }
        let to = word + cost;
        if to <= now + self.full && !self.is_queue {
            return Ok(to);
        }
        Err(self.refusal(word, now, cost))
    }

    /// How many units there are under a word, and in how many nanoseconds all will be.
    #[cfg(feature = "tower")]
    pub(super) fn left(&self, word: u64, now: u64) -> Option<(u64, u64)> {
        let debt = word.saturating_sub(self.scale.ticks(now)?);
        let left = self.full.checked_sub(debt)? / self.interval;
        Some((left, debt.div_ceil(self.scale.den)))
    }

    #[cfg(feature = "tower")]
    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Of an instant that lies ahead of `now`.
    #[inline]
    fn refusal(&self, word: u64, now: u64, cost: u64) -> Verdict {
        // Further ahead than a full debt only a clock that stepped back can have put it.
        if self.is_queue || word > now + self.full {
            return Verdict::Unknown;
        }
        Verdict::Denied((word + cost - now - self.full).div_ceil(self.scale.den))
    }
}
