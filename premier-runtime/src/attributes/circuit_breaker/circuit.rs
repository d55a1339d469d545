//! One circuit: the states of a breaker for one key, or for a function without keys.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::args::BreakerConfig;
use crate::clock::after;
use crate::telemetry::BreakerState;

/// A circuit, closed at first.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    state: State,
    /// The number of the last change of the state; zero before the first. The outcome of a call counts only if
    /// the state is still the one in which the call began.
    generation: u64,
    /// When the state last changed.
    changed_at: u64,
    /// A change that was not reported yet.
    change: Option<BreakerState>,
}

#[derive(Debug)]
enum State {
    /// The instants of the recent failures, oldest first.
    Closed(VecDeque<u64>),
    /// The instant at which the circuit becomes half open.
    Open(u64),
    HalfOpen {
        running: u64,
        succeeded: u64,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(VecDeque::new())
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Dropped,
    Failed,
    Succeeded,
}

impl Circuit {
    /// Whether the circuit is as a new one: closed, without a failure that still counts, and for so long that
    /// calls of an earlier state have ended.
    pub(super) fn is_idle(&self, config: &BreakerConfig, now: impl FnOnce() -> u64) -> bool {
        let State::Closed(failures) = &self.state else {
            return false;
        };
        match (failures.back(), self.generation) {
            (None, 0) => true,
            (last, generation) => {
                let now = now();
                let settled = after(after(self.changed_at, config.open_for), config.within);
                last.is_none_or(|last| after(*last, config.within) <= now)
                    && (generation == 0 || settled <= now)
            }
        }
    }

    /// Whether the circuit has let calls through for long, and none has come.
    pub(super) fn is_abandoned(&self, config: &BreakerConfig, now: u64) -> bool {
        matches!(self.state, State::Open(until) if after(until, config.within) <= now)
    }

    /// Returns the last change of the state, once.
    pub(super) const fn take_change(&mut self) -> Option<BreakerState> {
        self.change.take()
    }

    /// Lets a call through, whose generation is returned. `changes` numbers the changes of all circuits.
    ///
    /// # Errors
    /// How long the circuit lets no call through.
    pub(super) fn enter(
        &mut self,
        probes: u64,
        changes: &AtomicU64,
        now: impl FnOnce() -> u64,
    ) -> Result<u64, Duration> {
        match &mut self.state {
            State::Closed(_) => {}
            State::Open(until) => {
                let now = now();
                if now < *until {
                    return Err(Duration::from_nanos(*until - now));
                }
                let half_open = State::HalfOpen {
                    running: 1,
                    succeeded: 0,
                };
                self.change(half_open, now, changes);
            }
            State::HalfOpen { running, succeeded } => {
                if *running + *succeeded >= probes {
                    // When the running probes will end is unknown.
                    return Err(Duration::from_millis(1));
                }
                *running += 1;
            }
        }
        Ok(self.generation)
    }

    /// Records how a call of a generation ended.
    pub(super) fn record(
        &mut self,
        generation: u64,
        outcome: Outcome,
        config: &BreakerConfig,
        changes: &AtomicU64,
        now: impl FnOnce() -> u64,
    ) {
        if self.generation != generation {
            return;
        }
        match (&mut self.state, outcome) {
            (State::Open(_), _) | (State::Closed(_), Outcome::Succeeded | Outcome::Dropped) => {}
            (State::Closed(failures), Outcome::Failed) => {
                let now = now();
                while failures
                    .front()
                    .is_some_and(|first| after(*first, config.within) <= now)
                {
                    failures.pop_front();
                }
                failures.push_back(now);
                if failures.len() as u64 >= config.failures {
                    self.change(State::Open(after(now, config.open_for)), now, changes);
                }
            }
            (State::HalfOpen { .. }, Outcome::Failed) => {
                let now = now();
                self.change(State::Open(after(now, config.open_for)), now, changes);
            }
            (State::HalfOpen { running, .. }, Outcome::Dropped) => *running -= 1,
            (State::HalfOpen { running, succeeded }, Outcome::Succeeded) => {
                *running -= 1;
                *succeeded += 1;
                if *succeeded >= config.probes {
                    self.change(State::default(), now(), changes);
                }
            }
        }
    }

    fn change(&mut self, state: State, now: u64, changes: &AtomicU64) {
        self.change = Some(match state {
            State::Closed(_) => BreakerState::Closed,
            State::Open(_) => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        });
        self.state = state;
        self.generation = changes.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed_at = now;
    }
}
