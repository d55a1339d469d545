//! Sliding log: the instants of all admitted units.
//!
//! A call is admitted when at most q − c units lie in (t − d, t]. Equal instants share an entry.

use std::collections::VecDeque;

use super::{Effect, Plan};
use crate::limit::decision::{Decision, nanos};

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    /// (instant, units), ascending.
    entries: VecDeque<(u64, u64)>,
    used: u64,
}

impl State {
    pub(super) fn decide(&mut self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        self.clamp(now);
        self.expire(plan, now);
        let mut decision = self.look(plan, now, cost);
        if decision.allowed && effect == Effect::Take && cost > 0 {
            match self.entries.back_mut() {
                Some((instant, units)) if *instant == now => *units += cost,
                _ => self.entries.push_back((now, cost)),
            }
            self.used += cost;
            decision.remaining -= cost;
            decision.reset_after = nanos(u128::from(plan.period()));
        }
        decision
    }

    /// See [`State::admit`](super::State::admit).
    #[inline]
    pub(super) fn admit(&mut self, plan: &Plan, now: u64, cost: u64) -> bool {
        match self.entries.back_mut() {
            Some((last, _)) if *last <= now => {}
            _ => return false,
        }
        self.expire(plan, now);
        let admitted = cost <= plan.limit().quota().saturating_sub(self.used);
        if admitted {
            match self.entries.back_mut() {
                Some((instant, units)) if *instant == now => *units += cost,
                _ => self.entries.push_back((now, cost)),
            }
            self.used += cost;
        }
        admitted
    }

    /// The answer without touching the log; expired entries at its front are skipped.
    pub(super) fn look(&self, plan: &Plan, now: u64, cost: u64) -> Decision {
        let quota = plan.limit().quota();
        let live = self
            .entries
            .iter()
            .skip_while(|&&(instant, _)| is_over(plan.period(), instant, now));
        let used = self.used
            - self
                .entries
                .iter()
                .take_while(|&&(instant, _)| is_over(plan.period(), instant, now))
                .map(|&(_, units)| units)
                .sum::<u64>();
        let left = quota.saturating_sub(used);
        let mut decision = Decision {
            allowed: cost <= left,
            remaining: left,
            ..plan.decision()
        };
        if !decision.allowed {
            let mut excess = used + cost - quota;
            for &(instant, units) in live {
                if units >= excess {
                    decision.retry_after = leaves_in(plan, instant, now);
                    break;
                }
                excess -= units;
            }
        }
        if let Some(&(instant, _)) = self.entries.back()
            && used > 0
        {
            decision.reset_after = leaves_in(plan, instant, now);
        }
        decision
    }

    /// The newest units are given back first.
    pub(super) fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        self.expire(plan, now);
        let mut left = units;
        while left > 0 {
            let Some((_, count)) = self.entries.back_mut() else {
                break;
            };
            let given = left.min(*count);
            *count -= given;
            left -= given;
            self.used -= given;
            if *count == 0 {
                self.entries.pop_back();
            }
        }
    }

    /// Whether the newest units were taken at this instant.
    pub(super) fn ends_at(&self, instant: u64) -> bool {
        self.entries
            .back()
            .is_some_and(|&(last, _)| last == instant)
    }

    pub(super) fn is_fresh(&self, period: u64, now: u64) -> bool {
        self.entries
            .back()
            .is_none_or(|&(instant, _)| is_over(period, instant, now))
    }

    fn expire(&mut self, plan: &Plan, now: u64) {
        while let Some(&(instant, units)) = self.entries.front() {
            if !is_over(plan.period(), instant, now) {
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

fn leaves_in(plan: &Plan, instant: u64, now: u64) -> std::time::Duration {
    nanos(u128::from(plan.period() - now.saturating_sub(instant)))
}
