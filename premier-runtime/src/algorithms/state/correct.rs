//! Giving units back, and charging units that were used already.

use super::{Repr, State};
use crate::algorithms::plan::Plan;
use crate::algorithms::rule::Rule;
use crate::algorithms::tat::Tat;
use crate::limit::decision::Reservation;

impl State {
    /// Gives `units` back, at most as many as are taken.
    pub fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        match (&mut self.0, &plan.rule()) {
            (Repr::Log(state), Rule::Log(log)) => log.refund(state, now, units),
            (Repr::Tat(_) | Repr::Reserved(..), Rule::Gcra(gcra)) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, _) = self.instant_under(gcra, now, at);
                // A refund takes no slot. Without slots of another limit, no caller waits for the debt.
                let full = match &self.0 {
                    Repr::Reserved(reserved) => reserved.full_in_ticks_of(gcra.den()),
                    _ => 0,
                };
                let refunded = gcra.refunded(ticks, at, units);
                self.store_instant(gcra.den(), now, refunded, gcra.full().max(full));
            }
            (Repr::Window(state), Rule::Window(window)) => {
                *state = window.at(*state, now);
                state.cur = state.cur.saturating_sub(units);
            }
            (Repr::Owing(owing), Rule::Window(window)) => {
                let mut owing = owing.at(window, now);
                owing.refund(units);
                self.set_window(owing);
            }
            _ => {}
        }
        self.forget_if_fresh(plan, now);
    }

    /// Takes `units` that were used already, whether or not the limit admits them, as far as the key then owes
    /// at most `max_debt` units:
    ///
    /// - a bucket owes the units by which its theoretical arrival time lies ahead beyond a full debt. The slots of
    ///   waiting callers count;
    /// - a window owes the units in it above the quota. The next window begins with them as used units, up to the
    ///   quota, and the windows after it with the rest;
    /// - a sliding log owes its units above the quota. As all units in a log, they count for one period.
    ///
    /// A bucket is charged up to the bound exactly, the others in whole units.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::{Plan, State};
    /// use std::time::Duration;
    ///
    /// let plan = Plan::new(Limit::fixed_window(10, Duration::from_nanos(1_000)))?;
    /// let mut state = State::default();
    /// state.charge(&plan, 0, 17, 10);
    /// assert_eq!(state.peek(&plan, 999, 1).remaining, 0);
    /// assert_eq!(state.peek(&plan, 1_000, 1).remaining, 3);
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn charge(&mut self, plan: &Plan, now: u64, units: u64, max_debt: u64) {
        match &plan.rule() {
            Rule::Gcra(gcra) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, _) = self.instant_under(gcra, now, at);
                self.set_instant(gcra, now, gcra.charged(ticks, at, units, max_debt));
            }
            Rule::Log(log) => {
                if !matches!(self.0, Repr::Log(_)) {
                    self.0 = Repr::Log(Box::default());
                }
                if let Repr::Log(state) = &mut self.0 {
                    log.charge(state, now, units, max_debt);
                }
            }
            Rule::Window(window) => {
                let mut owing = self.window_under(window).at(window, now);
                owing.charge(window, units, max_debt);
                self.set_window(owing);
            }
        }
        self.forget_if_fresh(plan, now);
    }

    /// Releases what a call took under the limit at `index`: its slot, if that is still the last of the queue, or its
    /// units, if the state still counts them. Otherwise nothing is released, because it would be taken from another
    /// caller.
    pub(crate) fn release(
        &mut self,
        plan: &Plan,
        now: u64,
        slot: &Reservation,
        index: usize,
        units: u64,
    ) {
        let is_counted = match (&mut self.0, slot.end(index)) {
            (Repr::Fresh, _) => false,
            (Repr::Log(state), _) => {
                state.release(slot.since, units);
                false
            }
            (Repr::Tat(_) | Repr::Reserved(..), 0) => now < slot.until(index),
            (Repr::Tat(_) | Repr::Reserved(_), end) => {
                if let Rule::Gcra(gcra) = &plan.rule()
                    && self.tat() == Tat::new(end, gcra.den())
                {
                    let begin = end.saturating_sub(plan.ticks(units));
                    self.set_instant(gcra, now, begin);
                }
                false
            }
            (Repr::Window(state), _) => state.start <= slot.since,
            // In a later window than that of the call, only its debt is left.
            (Repr::Owing(owing), _) => match &plan.rule() {
                Rule::Window(window) => owing.at(window, now).window.start <= slot.since,
                Rule::Gcra(_) | Rule::Log(_) => false,
            },
        };
        if is_counted {
            self.refund(plan, now, units);
        } else {
            self.forget_if_fresh(plan, now);
        }
    }
}
