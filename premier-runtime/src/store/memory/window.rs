//! The counter of a window as one word, beside the instants it belongs to.

use crate::algorithms::{Plan, State};
use crate::limit::algo::Algo;

use super::sync::{AtomicU64, Ordering, seen_later};
use super::word::Verdict;

/// How much of the word counts; what is above tells one window from another.
const COUNT_BITS: u32 = 40;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// A limit by windows as far as a decision within an open window needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    quota: u64,
    period: u64,
    is_sliding: bool,
}

/// What a word of the same [`Keyless`](super::keyless::Keyless) counts in. Only the holder of its
/// lock changes this, while the word is zero, and gives the word another tag afterwards.
#[derive(Debug, Default)]
pub(super) struct Frame {
    start: AtomicU64,
    /// The count of the window before.
    prev: AtomicU64,
    tag: AtomicU64,
}

impl Window {
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let is_sliding = match plan.limit().algo() {
            Algo::FixedWindow => false,
            Algo::SlidingWindow => true,
            _ => return None,
        };
        let quota = plan.limit().quota();
        (quota <= COUNT).then(|| Self {
            quota,
            period: plan.period(),
            is_sliding,
        })
    }

    /// Takes from a window that is open and has been taken from.
    ///
    /// The frame is read after the word. A swap that succeeds therefore found the frame that the
    /// word was set with: whoever changes the frame has zeroed the word first, and to have seen the
    /// change is to have that zero behind one. Words repeat after 2^24 changes of the frame; a call
    /// that slept through all of them, and comes upon the same count, takes from the window that is
    /// open when it swaps, whose count stays within the quota.
    #[inline]
    pub(super) fn admit(&self, word: &AtomicU64, frame: &Frame, now: u64, cost: u64) -> Verdict {
        if cost == 0 || cost > self.quota {
            return Verdict::Unknown;
        }
        let mut seen = word.load(Ordering::Acquire);
        loop {
            let count = seen & COUNT;
            let start = frame.start.load(Ordering::Acquire);
            let elapsed = match now.checked_sub(start) {
                Some(elapsed) if elapsed < self.period && count > 0 => elapsed,
                _ => return Verdict::Unknown,
            };
            let mut used = count;
            if self.is_sliding {
                used += match frame.prev.load(Ordering::Acquire) {
                    0 => 0,
                    prev => match prev.checked_mul(self.period - elapsed) {
                        Some(product) => product / self.period,
                        None => return Verdict::Unknown,
                    },
                };
            }
            if cost > self.quota.saturating_sub(used) {
                let current = word.load(Ordering::Acquire);
                if current != seen {
                    seen = current;
                    continue;
                }
                return match self.is_sliding {
                    false => Verdict::Denied(self.period - elapsed),
                    true => Verdict::Unknown,
                };
            }
            let swapped =
                word.compare_exchange_weak(seen, seen + cost, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => return Verdict::Admitted,
                Err(_) => seen = seen_later(word, Ordering::Acquire),
            }
        }
    }
}

impl Frame {
    /// Whether the states of a limit are counted by windows.
    pub(super) fn serves(plan: &Plan) -> bool {
        matches!(plan.limit().algo(), Algo::FixedWindow | Algo::SlidingWindow)
    }

    /// The word for a state, with the frame set for it; zero when there is none. For the holder of
    /// the lock, while the word is zero.
    pub(super) fn word_of(&self, state: &State) -> u64 {
        let Some((start, count, prev)) = state.window() else {
            return 0;
        };
        if count == 0 || count > COUNT {
            return 0;
        }
        // Release: see `Window::admit`.
        self.start.store(start, Ordering::Release);
        self.prev.store(prev, Ordering::Release);
        let tag = self.tag.load(Ordering::Relaxed) + 1;
        self.tag.store(tag, Ordering::Relaxed);
        tag << COUNT_BITS | count
    }

    /// The state behind a word. For the holder of the lock.
    pub(super) fn state_of(&self, word: u64, plan: &Plan) -> State {
        let start = self.start.load(Ordering::Relaxed);
        State::of_window(plan, start, word & COUNT, self.prev.load(Ordering::Relaxed))
    }
}
