//! One circuit: the states of a breaker for one key, or for a function without keys.

use std::collections::VecDeque;
use std::time::Duration;

use super::batched_window::BatchedWindow;
use super::rules::{FailureRule, Rules, Tally, Verdict};
use super::window::Window;
use crate::clock::after;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::telemetry::BreakerState;

/// In the word of a circuit: the circuit is closed, and a success cannot open it. Calls then enter and succeed
/// without the lock.
const LOCK_FREE: u64 = 1;

/// A circuit, closed at first.
///
/// Nothing but its own arithmetic runs under its lock: clocks are read before, and changes are reported after.
#[derive(Debug)]
pub(super) struct Circuit {
    /// The number of the last change of the phase, shifted by one, and [`LOCK_FREE`]. Written under the lock.
    word: AtomicU64,
    calls: BatchedWindow,
    failed: Window,
    slow: Window,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// How often the circuit has opened since it was closed.
    trips: u32,
}

#[derive(Debug)]
enum Phase {
    /// The instants of the recent failures, oldest first, where failures are counted absolutely. There are fewer
    /// than open the circuit.
    Closed(VecDeque<u64>),
    /// The instant at which the circuit becomes half open.
    Open(u64),
    HalfOpen {
        /// When each running probe began. There are at most `probes`.
        running: Vec<u64>,
        ended: Tally,
    },
}

impl Phase {
    const fn closed() -> Self {
        Self::Closed(VecDeque::new())
    }

    const fn name(&self) -> BreakerState {
        match self {
            Self::Closed(_) => BreakerState::Closed,
            Self::Open(_) => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

/// A call that was let through.
#[derive(Debug)]
pub(super) struct Entry {
    /// The number of the phase in which the call began. Its outcome counts only in this phase.
    generation: u64,
    /// When the call began, if that is known.
    started: Option<u64>,
}

/// A change of the state of a circuit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) from: BreakerState,
    pub(super) to: BreakerState,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The caller has dropped it. It has failed if it had run for as long as a slow call does.
    Dropped,
    Failed,
    /// It says nothing about the health of the function.
    Ignored,
    Succeeded,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            word: AtomicU64::new(LOCK_FREE),
            calls: BatchedWindow::default(),
            failed: Window::default(),
            slow: Window::default(),
            state: Mutex::new(State {
                phase: Phase::closed(),
                trips: 0,
            }),
        }
    }
}

impl Circuit {
    /// Admits a call that began at the instant `started`, if that is known. `None` if the lock has to be taken.
    #[inline]
    pub(super) fn try_enter(&self, started: Option<u64>) -> Option<Entry> {
        let word = self.word.load(Ordering::Acquire);
        (word & LOCK_FREE != 0).then_some(Entry {
            generation: word >> 1,
            started,
        })
    }

    /// Admits a call that begins now. Returns the change of the circuit's state, if there is one.
    ///
    /// # Errors
    /// How long the circuit admits no call.
    pub(super) fn enter(
        &self,
        rules: &Rules,
        now: u64,
    ) -> Result<(Entry, Option<Change>), Duration> {
        let mut state = lock(&self.state);
        let mut change = None;
        match &mut state.phase {
            Phase::Closed(_) => {}
            Phase::Open(until) => {
                if now < *until {
                    return Err(Duration::from_nanos(*until - now));
                }
                state.phase = Phase::HalfOpen {
                    running: vec![now],
                    ended: Tally::default(),
                };
                self.next_generation(false);
                change = Some(Change {
                    from: BreakerState::Open,
                    to: BreakerState::HalfOpen,
                });
            }
            Phase::HalfOpen { running, ended } => {
                let is_full =
                    |running: &Vec<u64>| running.len() as u64 + ended.calls >= rules.probes;
                if is_full(running) {
                    running.retain(|started| now < after(*started, rules.open_for));
                }
                if is_full(running) {
                    // When the running probes will end is unknown.
                    return Err(Duration::from_millis(1));
                }
                running.push(now);
            }
        }
        let generation = self.word.load(Ordering::Relaxed) >> 1;
        let started = Some(now);
        Ok((
            Entry {
                generation,
                started,
            },
            change,
        ))
    }

    /// Records a call that has succeeded. Returns `false`, without an effect, if the lock has to be taken.
    #[inline]
    pub(super) fn try_succeed(
        &self,
        entry: &Entry,
        rules: &Rules,
        now: impl FnOnce() -> u64,
    ) -> bool {
        if self.word.load(Ordering::Acquire) != entry.generation << 1 | LOCK_FREE {
            return false;
        }
        // If the circuit opens and closes concurrently, its new phase counts one success too many.
        if rules.slow_rate.is_some() {
            let now = now();
            if entry.is_slow(rules, now) {
                return false;
            }
            self.calls.add(rules.bucket_length.tenth_at(now));
        } else if rules.count_calls() {
            self.calls.add_now(rules.bucket_length, now);
        }
        true
    }

    /// Records how a call has ended. Returns the change of the circuit's state, if there is one.
    pub(super) fn record(
        &self,
        entry: &Entry,
        outcome: Outcome,
        rules: &Rules,
        now: u64,
    ) -> Option<Change> {
        let is_slow = entry.is_slow(rules, now);
        let failed = match outcome {
            Outcome::Dropped => is_slow,
            Outcome::Failed => true,
            Outcome::Ignored | Outcome::Succeeded => false,
        };
        let counts = failed || outcome == Outcome::Succeeded;
        let mut state = lock(&self.state);
        if self.word.load(Ordering::Relaxed) >> 1 != entry.generation {
            return None;
        }
        let verdict = match &mut state.phase {
            Phase::Open(_) => return None,
            Phase::Closed(_) if !counts => return None,
            Phase::Closed(failures) => self.count(failures, failed, is_slow, rules, now),
            Phase::HalfOpen { running, ended } => {
                let place = running
                    .iter()
                    .position(|started| Some(*started) == entry.started);
                if let Some(place) = place {
                    running.swap_remove(place);
                }
                if !counts {
                    return None;
                }
                ended.calls += 1;
                ended.failed += u64::from(failed);
                ended.slow += u64::from(is_slow);
                rules.judge(*ended)
            }
        };
        let from = state.phase.name();
        let to = match verdict {
            Verdict::Wait => return None,
            Verdict::Open => {
                state.trips = state.trips.saturating_add(1);
                let length = rules.open_time(state.trips, fastrand::f64);
                state.phase = Phase::Open(after(now, length));
                self.next_generation(false);
                BreakerState::Open
            }
            Verdict::Close => {
                state.phase = Phase::closed();
                state.trips = 0;
                self.calls.clear();
                self.failed.clear();
                self.slow.clear();
                self.next_generation(true);
                BreakerState::Closed
            }
        };
        Some(Change { from, to })
    }

    /// Counts a call of a closed circuit.
    fn count(
        &self,
        failures: &mut VecDeque<u64>,
        failed: bool,
        is_slow: bool,
        rules: &Rules,
        now: u64,
    ) -> Verdict {
        if let FailureRule::Count(most) = rules.failures
            && failed
        {
            while failures
                .front()
                .is_some_and(|first| after(*first, rules.within) <= now)
            {
                failures.pop_front();
            }
            failures.push_back(now);
            if failures.len() as u64 >= most {
                return Verdict::Open;
            }
        }
        if !rules.count_calls() {
            return Verdict::Wait;
        }
        let tenth = rules.bucket_length.tenth_at(now);
        self.calls.add(tenth);
        if failed {
            self.failed.add(tenth);
        }
        if is_slow {
            self.slow.add(tenth);
        }
        let tally = Tally {
            calls: self.calls.count(tenth),
            failed: self.failed.count(tenth),
            slow: self.slow.count(tenth),
        };
        let is_reached = rules.rates_are_reached(tally);
        if is_reached && tally.calls >= rules.minimum_calls {
            return Verdict::Open;
        }
        // Where only the number of calls is too low, a success may raise it to the minimum.
        let generation = self.word.load(Ordering::Relaxed) & !LOCK_FREE;
        let word = generation | if is_reached { 0 } else { LOCK_FREE };
        self.word.store(word, Ordering::Release);
        Verdict::Wait
    }

    /// The state as it is now.
    pub(super) fn state(&self) -> BreakerState {
        lock(&self.state).phase.name()
    }

    /// Numbers a new phase. The lock is held.
    fn next_generation(&self, is_closed: bool) {
        let generation = (self.word.load(Ordering::Relaxed) >> 1) + 1;
        let word = generation << 1 | u64::from(is_closed);
        self.word.store(word, Ordering::Release);
    }

    /// Whether the circuit equals a new one: closed, with no call in its windows. To be asked only when none of its
    /// calls is running.
    pub(super) fn is_idle(&self, rules: &Rules, now: u64) -> bool {
        let state = lock(&self.state);
        let Phase::Closed(failures) = &state.phase else {
            return false;
        };
        let last = failures.back();
        last.is_none_or(|last| after(*last, rules.within) <= now)
            && self.calls.count(rules.bucket_length.tenth_at(now)) == 0
    }

    /// Whether the circuit could have been probed for a time of `within`, and no call came.
    pub(super) fn is_abandoned(&self, rules: &Rules, now: u64) -> bool {
        matches!(lock(&self.state).phase, Phase::Open(until) if after(until, rules.within) <= now)
    }
}

impl Entry {
    /// The entry of no call.
    pub(super) const NONE: Self = Self {
        generation: 0,
        started: None,
    };

    /// Whether a call that ends now has run for at least as long as a slow call.
    fn is_slow(&self, rules: &Rules, now: u64) -> bool {
        self.started
            .is_some_and(|started| after(started, rules.slow) <= now)
    }
}
