//! Sliding log: the instants of all admitted units.
//!
//! A call of cost c is admitted when at most q − c units lie in (t − d, t]. Equal instants share an
//! entry.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::{Answer, Effect};
use super::numbers::Numbers;
use super::owing_window::most_units;
use crate::limit::decision::Decision;

/// The limit as a log computes with it.
pub(super) const fn rule(numbers: &Numbers) -> Log {
    Log {
        quota: numbers.quota,
        period: numbers.period,
    }
}

/// Units are released at the instant at which they were taken if at most this many instants are newer: in Redis
/// each of these is an entry that has to be written anew.
const NEWER_THAN_RELEASED: usize = 128;

/// The numbers of a limit by a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Log {
    quota: u64,
    /// In nanoseconds.
    period: u64,
}

/// The log of one key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct LogState {
    /// (instant, units), ascending.
    entries: VecDeque<(u64, u64)>,
    used: u64,
}

impl Log {
    /// Whether a call may cost this much, and costs anything.
    pub(super) const fn has(&self, cost: u64) -> bool {
        cost.wrapping_sub(1) < self.quota
    }

    #[inline]
    pub(super) fn decide<A: Answer>(
        &self,
        state: &mut LogState,
        now: u64,
        cost: u64,
        effect: Effect,
    ) -> A {
        state.clamp(now);
        state.expire(self.period, now);
        let allowed = cost <= self.quota.saturating_sub(state.used);
        if allowed && effect.takes() && cost > 0 {
            state.push(now, cost);
        }
        A::new(allowed, false, || {
            let mut decision = self.look(state, now, cost);
            decision.allowed = allowed;
            if allowed {
                decision.retry_after = Duration::ZERO;
            }
            decision
        })
    }

    /// The answer without changing the log; expired entries at its front are skipped.
    pub(super) fn look(&self, state: &LogState, now: u64, cost: u64) -> Decision {
        let is_over = |instant| is_over(self.period, instant, now);
        let expired: u64 = state
            .entries
            .iter()
            .take_while(|&&(instant, _)| is_over(instant))
            .map(|&(_, units)| units)
            .sum();
        let used = state.used - expired;
        let left = self.quota.saturating_sub(used);
        let mut decision = Decision::new(self.quota);
        decision.allowed = cost <= left;
        decision.remaining = left;
        // How long until this many units have left the log.
        let after_leaving = |mut excess| {
            let live = state
                .entries
                .iter()
                .skip_while(|&&(instant, _)| is_over(instant));
            for &(instant, units) in live {
                if units >= excess {
                    return Some(self.leaves_in(instant, now));
                }
                excess -= units;
            }
            None
        };
        // If the log is empty, the units of this call are the first to leave.
        let one_more = after_leaving(used.saturating_sub(self.quota) + 1);
        decision.more_after = one_more.unwrap_or(Duration::from_nanos(self.period));
        if !decision.allowed {
            let denied_for = after_leaving(used + cost - self.quota);
            decision.retry_after = denied_for.unwrap_or_default();
        }
        if let Some(&(instant, _)) = state.entries.back()
            && used > 0
        {
            decision.reset_after = self.leaves_in(instant, now);
        }
        decision
    }

    /// Adds units taken at `now` whether or not there is room, as far as at most `max_debt` units then lie
    /// above the quota.
    pub(super) fn charge(&self, state: &mut LogState, now: u64, units: u64, max_debt: u64) {
        state.clamp(now);
        state.expire(self.period, now);
        let most = most_units(self.quota, max_debt);
        let charged = units.min(most.saturating_sub(state.used));
        if charged > 0 {
            state.push(now, charged);
        }
    }

    /// Refunds units, beginning with the newest.
    pub(super) fn refund(&self, state: &mut LogState, now: u64, units: u64) {
        state.expire(self.period, now);
        let mut left = units;
        while left > 0 {
            let Some((_, count)) = state.entries.back_mut() else {
                break;
            };
            let given = left.min(*count);
            *count -= given;
            left -= given;
            state.used -= given;
            if *count == 0 {
                state.entries.pop_back();
            }
        }
    }

    fn leaves_in(&self, instant: u64, now: u64) -> Duration {
        Duration::from_nanos(self.period - now.saturating_sub(instant))
    }
}

impl LogState {
    /// (instant, units), ascending.
    pub(super) fn entries(&self) -> &VecDeque<(u64, u64)> {
        &self.entries
    }

    /// The sum of all units.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Whether a new entry of this instant keeps the log ascending.
    pub(super) fn can_append(&self, instant: u64) -> bool {
        self.entries.back().is_none_or(|&(last, _)| last < instant)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Releases units that were taken at this instant, if few entries are newer.
    pub(super) fn release(&mut self, instant: u64, units: u64) {
        let newer = self.entries.iter().rev().take(NEWER_THAN_RELEASED + 1);
        let newer = newer.take_while(|&&(taken, _)| taken > instant).count();
        if newer > NEWER_THAN_RELEASED {
            return;
        }
        let Some(index) = self.entries.len().checked_sub(newer + 1) else {
            return;
        };
        let (taken, left) = &mut self.entries[index];
        if *taken != instant {
            return;
        }
        let given = units.min(*left);
        *left -= given;
        self.used -= given;
        if *left == 0 {
            self.entries.remove(index);
        }
    }

    pub(super) fn is_fresh(&self, period: u64, now: u64) -> bool {
        self.expires_in(period, now) == 0
    }

    /// How many nanoseconds the newest entry still counts.
    pub(super) fn expires_in(&self, period: u64, now: u64) -> u64 {
        self.entries.back().map_or(0, |&(instant, _)| {
            period.saturating_sub(now.saturating_sub(instant))
        })
    }

    pub(super) fn push(&mut self, now: u64, cost: u64) {
        match self.entries.back_mut() {
            Some((instant, units)) if *instant == now => *units += cost,
            _ => self.entries.push_back((now, cost)),
        }
        self.used += cost;
    }

    fn expire(&mut self, period: u64, now: u64) {
        while let Some(&(instant, units)) = self.entries.front() {
            if !is_over(period, instant, now) {
                break;
            }
            self.entries.pop_front();
            self.used -= units;
        }
    }

    /// After a clock stepped back, entries of the future count as taken now.
    fn clamp(&mut self, now: u64) {
        for (instant, _) in self.entries.iter_mut().rev() {
            if *instant <= now {
                break;
            }
            *instant = now;
        }
    }
}

fn is_over(period: u64, instant: u64, now: u64) -> bool {
    now.saturating_sub(instant) >= period
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of `newer` + 1 units at the instants 1, 2, 3 …
    fn log_of(newer: u64) -> LogState {
        let mut state = LogState::default();
        (1..=newer + 1).for_each(|instant| state.push(instant, 1));
        state
    }

    #[test]
    fn units_are_given_back_to_their_own_instant() {
        let mut state = log_of(2);
        state.release(2, 5);
        assert_eq!(state.entries, [(1, 1), (3, 1)]);
        assert_eq!(state.used, 2);
        state.release(2, 1);
        state.release(9, 1);
        assert_eq!(state.used, 2);
    }

    #[test]
    fn units_with_many_newer_ones_stay() {
        for (newer, given_back) in [(127, 1), (128, 1), (129, 0), (200, 0)] {
            let mut state = log_of(newer);
            state.release(1, 1);
            assert_eq!(state.used, newer + 1 - given_back, "{newer}");
        }
    }
}
