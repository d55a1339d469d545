//! Fixed window: a counter that starts over.
//!
//! The window opens at the first call after the last one closed and spans [start, start + d). A
//! call is admitted when used + c ≤ q.

use super::{Effect, Plan};
use crate::limit::decision::{Decision, nanos};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    start: u64,
    used: u64,
}

impl State {
    pub(super) const fn new(start: u64, used: u64) -> Self {
        Self { start, used }
    }

    pub(super) const fn parts(&self) -> (u64, u64, u64) {
        (self.start, self.used, 0)
    }

    /// A window that has not begun begins now.
    pub(super) fn settle(&mut self, now: u64) -> bool {
        let ahead = self.start > now;
        self.start = self.start.min(now);
        ahead
    }

    pub(super) fn decide(&mut self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        if self.is_fresh(plan.period(), now) {
            *self = Self {
                start: now,
                used: 0,
            };
        }
        let quota = plan.limit().quota();
        let left = quota.saturating_sub(self.used);
        let allowed = cost <= left;
        if allowed && effect == Effect::Take {
            self.used += cost;
        }
        let closes_in = nanos(u128::from(plan.period() - (now - self.start)));
        let mut decision = Decision {
            allowed,
            remaining: quota.saturating_sub(self.used),
            ..plan.decision()
        };
        if !allowed {
            decision.retry_after = closes_in;
        }
        if self.used > 0 {
            decision.reset_after = closes_in;
        }
        decision
    }

    /// See [`State::admit`](super::State::admit): within an open window.
    #[inline]
    pub(super) fn admit(&mut self, plan: &Plan, now: u64, cost: u64) -> bool {
        let open = now
            .checked_sub(self.start)
            .is_some_and(|elapsed| elapsed < plan.period());
        let admitted = open && self.used > 0 && cost <= plan.limit().quota() - self.used;
        if admitted {
            self.used += cost;
        }
        admitted
    }

    pub(super) fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        if !self.is_fresh(plan.period(), now) {
            self.used = self.used.saturating_sub(units);
        }
    }

    /// Whether what was taken at this instant is counted here.
    pub(super) const fn is_of(&self, instant: u64) -> bool {
        self.start <= instant
    }

    pub(super) fn is_fresh(&self, period: u64, now: u64) -> bool {
        self.used == 0 || now.saturating_sub(self.start) >= period
    }
}
