//! Sliding window counter: two counters stand for a sliding window.
//!
//! With e the time since the current window began, a call is admitted when
//! floor(prev · (d − e) / d) + cur + c ≤ q: the previous window counts by the part of it that
//! still overlaps the last d, as if its units had been spread evenly.

use super::{Effect, Plan};
use crate::limit::decision::{Decision, nanos};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    start: u64,
    cur: u64,
    prev: u64,
}

impl State {
    pub(super) const fn new(start: u64, cur: u64, prev: u64) -> Self {
        Self { start, cur, prev }
    }

    pub(super) const fn parts(&self) -> (u64, u64, u64) {
        (self.start, self.cur, self.prev)
    }

    /// A window that has not begun begins now.
    pub(super) fn settle(&mut self, now: u64) -> bool {
        let ahead = self.start > now;
        self.start = self.start.min(now);
        ahead
    }

    pub(super) fn decide(&mut self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        self.roll(plan, now);
        let quota = plan.limit().quota();
        let elapsed = now - self.start;
        let weight = self.weight(plan, elapsed);
        let used = weight + self.cur;
        let allowed = cost <= quota.saturating_sub(used);
        let retry_after = if allowed {
            0
        } else {
            self.admits_at(plan, cost) - elapsed
        };
        if allowed && effect == Effect::Take {
            self.cur += cost;
        }
        Decision {
            allowed,
            remaining: quota.saturating_sub(weight + self.cur),
            retry_after: nanos(u128::from(retry_after)),
            reset_after: nanos(u128::from(
                self.fresh_at(plan.period()).saturating_sub(elapsed),
            )),
            ..plan.decision()
        }
    }

    /// See [`State::admit`](super::State::admit): within the current window.
    #[inline]
    pub(super) fn admit(&mut self, plan: &Plan, now: u64, cost: u64) -> bool {
        let Some(elapsed) = now
            .checked_sub(self.start)
            .filter(|elapsed| *elapsed < plan.period() && self.cur > 0)
        else {
            return false;
        };
        let weight = match self.prev {
            0 => 0,
            _ => self.weight(plan, elapsed),
        };
        let used = weight + self.cur;
        let admitted = cost <= plan.limit().quota().saturating_sub(used);
        if admitted {
            self.cur += cost;
        }
        admitted
    }

    pub(super) fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        self.roll(plan, now);
        self.cur = self.cur.saturating_sub(units);
    }

    /// Whether what was taken at this instant is counted as current.
    pub(super) const fn is_of(&self, instant: u64) -> bool {
        self.start <= instant
    }

    pub(super) fn is_fresh(&self, period: u64, now: u64) -> bool {
        now.saturating_sub(self.start) >= self.fresh_at(period)
    }

    /// Moves on to the window that holds `now`.
    fn roll(&mut self, plan: &Plan, now: u64) {
        self.settle(now);
        let elapsed = now - self.start;
        let period = plan.period();
        if elapsed >= 2 * period {
            *self = Self::default();
        } else if elapsed >= period {
            *self = Self {
                start: self.start + period,
                cur: 0,
                prev: self.cur,
            };
        }
        if self.cur == 0 && self.prev == 0 {
            self.start = now;
        }
    }

    fn weight(&self, plan: &Plan, elapsed: u64) -> u64 {
        let (period, overlap) = (plan.period(), plan.period() - elapsed);
        match self.prev.checked_mul(overlap) {
            Some(product) => product / period,
            // At most `prev`, so it fits.
            None => (u128::from(self.prev) * u128::from(overlap) / u128::from(period)) as u64,
        }
    }

    /// The time since the start of the window at which `cost` is admitted.
    fn admits_at(&self, plan: &Plan, cost: u64) -> u64 {
        let room = plan.limit().quota() - cost;
        match room.checked_sub(self.cur) {
            Some(room) => shrinks_to(plan.period(), self.prev, room),
            // Only after the roll, when what is current now has become previous.
            None => plan.period() + shrinks_to(plan.period(), self.cur, room),
        }
    }

    /// The time since the start of the window at which both counters count for nothing.
    fn fresh_at(&self, period: u64) -> u64 {
        match (self.cur, self.prev) {
            (0, 0) => 0,
            (0, _) => period,
            _ => 2 * period,
        }
    }
}

/// The first e at which floor(count · (d − e) / d) ≤ room: count · (d − e) < (room + 1) · d.
fn shrinks_to(period: u64, count: u64, room: u64) -> u64 {
    if count <= room {
        return 0;
    }
    let overlap = ((u128::from(room) + 1) * u128::from(period) - 1) / u128::from(count);
    // Below `period`, because room + 1 ≤ count.
    period - overlap as u64
}
