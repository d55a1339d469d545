//! The shortest way to admit a call without a key.

use std::sync::Arc;

use super::deep::Depth;
use super::keyless::Keyless;
use super::window::Window;
use super::word::{Gcra, Scale, Steps, Verdict};
use crate::algorithms::Plan;
#[cfg(feature = "coarse-clock")]
use crate::clock::Clock;
use crate::clock::{Counter, SteadyClock, last_tick};
use crate::limit::algo::Algo;

/// All that a call needs to admit itself by the word, side by side: what is reached by one pointer
/// is waited for once.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    deep: Steps,
    rule: Rule,
    keyless: Arc<Keyless>,
    clock: SteadyClock,
    /// The clock where it is the system's.
    counter: &'static Counter,
}

#[derive(Clone, Debug)]
enum Rule {
    Gcra(Gcra),
    Queue(Gcra),
    Window(Window),
}

impl Bucket {
    /// For a limit whose state fits the word.
    pub(super) fn new(
        keyless: &Arc<Keyless>,
        plan: &Plan,
        scale: Scale,
        clock: &SteadyClock,
    ) -> Option<Self> {
        let is_only_one = keyless.note_limit(plan);
        let rule = match Window::new(plan) {
            Some(window) => Rule::Window(window),
            None => match Gcra::new(plan, scale)? {
                gcra if plan.limit().algo() == Algo::LeakyBucket => Rule::Queue(gcra),
                gcra => Rule::Gcra(gcra),
            },
        };
        let deep = match (&rule, clock) {
            (Rule::Gcra(gcra), SteadyClock::System) if is_only_one && Depth::serves(gcra) => {
                gcra.steps()
            }
            _ => Steps::default(),
        };
        Some(Self {
            deep,
            rule,
            keyless: Arc::clone(keyless),
            clock: clock.clone(),
            counter: Counter::get(),
        })
    }

    /// See [`State::admit`](crate::algorithms::State).
    #[inline]
    pub(crate) fn admit(&self, cost: u64) -> Verdict {
        match self.admit_deep(cost) {
            true => Verdict::Admitted,
            false => self.admit_by_clock(cost),
        }
    }

    /// Whether a call was admitted without a reading of the precise clock; see [`deep`](super::deep).
    /// Never again once there is another limit that decides by the same state, as there is when the
    /// limit has changed.
    #[inline]
    pub(crate) fn admit_deep(&self, cost: u64) -> bool {
        self.keyless.admit_deep(&self.deep, cost, last_tick)
    }

    /// The rest of [`admit`](Self::admit).
    // A function for each rule and clock: one for all would save registers for the slowest of them.
    #[inline(never)]
    pub(crate) fn admit_by_clock(&self, cost: u64) -> Verdict {
        match &self.clock {
            SteadyClock::System => match &self.rule {
                Rule::Gcra(gcra) => self.gcra_by_system(gcra, cost),
                Rule::Queue(gcra) => self.queue_by_system(gcra, cost),
                Rule::Window(window) => self.window_by_system(window, cost),
            },
            #[cfg(feature = "coarse-clock")]
            SteadyClock::Coarse => self.admit_by_ticks(cost),
            clock => self.admit_by(clock, cost),
        }
    }

    #[inline(never)]
    fn gcra_by_system(&self, gcra: &Gcra, cost: u64) -> Verdict {
        let now = || self.counter.now();
        (self.keyless).admit_precisely(gcra, &self.deep, cost, now, last_tick)
    }

    #[inline(never)]
    fn queue_by_system(&self, gcra: &Gcra, cost: u64) -> Verdict {
        (self.keyless).admit_on_the_spot(gcra, cost, || self.counter.now())
    }

    #[inline(never)]
    fn window_by_system(&self, window: &Window, cost: u64) -> Verdict {
        self.keyless.admit_window(window, self.counter.now(), cost)
    }

    #[cfg(feature = "coarse-clock")]
    #[inline(never)]
    fn admit_by_ticks(&self, cost: u64) -> Verdict {
        self.admit_at(crate::clock::CoarseClock.now(), cost)
    }

    #[inline(never)]
    fn admit_by(&self, clock: &SteadyClock, cost: u64) -> Verdict {
        self.admit_at(clock.now(), cost)
    }

    /// As [`admit`](Self::admit) does it for a bucket by the system's clocks, at other times.
    #[cfg(test)]
    pub(super) fn admit_as(
        &self,
        cost: u64,
        now: impl Fn() -> u64,
        last_tick: impl Fn() -> u64,
    ) -> Verdict {
        if self.keyless.admit_deep(&self.deep, cost, &last_tick) {
            return Verdict::Admitted;
        }
        let Rule::Gcra(gcra) = &self.rule else {
            return Verdict::Unknown;
        };
        self.keyless
            .admit_precisely(gcra, &self.deep, cost, now, last_tick)
    }

    #[cfg(all(test, premier_loom))]
    pub(super) fn is_deep(&self) -> bool {
        self.deep.is_any()
    }

    #[inline(always)]
    pub(super) fn admit_at(&self, now: u64, cost: u64) -> Verdict {
        match &self.rule {
            Rule::Gcra(gcra) | Rule::Queue(gcra) => self.keyless.admit_gcra(gcra, now, cost),
            Rule::Window(window) => self.keyless.admit_window(window, now, cost),
        }
    }
}
