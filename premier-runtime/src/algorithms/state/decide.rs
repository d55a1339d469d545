//! Decisions about calls.

use super::{Repr, State};
use crate::algorithms::answer::{Answer, Effect};
use crate::algorithms::plan::Plan;
use crate::algorithms::rule::Rule;
use crate::algorithms::sliding_log::LogState;
use crate::limit::decision::{Decision, Reservation};

impl State {
    /// Decides about a call that costs `cost` units at `now` (nanoseconds) and takes them if the call
    /// is admitted. A denied call and a cost of 0 change nothing.
    ///
    /// A cost above [`Plan::capacity`] can never be admitted: it is denied with the longest
    /// `retry_after` there is. Stores answer it with
    /// [`Error::CostExceedsCapacity`](crate::Error::CostExceedsCapacity) instead.
    pub fn take(&mut self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.decide(plan, now, cost, Effect::Take)
    }

    /// Decides as [`State::take`] does and takes nothing. `remaining` is the number of units before the
    /// call.
    pub fn peek(&self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.look(plan, now, cost, Effect::Look)
    }

    /// Decides with an effect that changes nothing.
    pub(crate) fn look(&self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        match &self.0 {
            // Peeking at a log does not copy it.
            Repr::Log(state) if cost <= plan.capacity() => match &plan.rule() {
                Rule::Log(log) => log.look(state, now, cost),
                Rule::Gcra(_) | Rule::Window(_) => Self::default().look(plan, now, cost, effect),
            },
            _ => self.clone().decide(plan, now, cost, effect),
        }
    }

    /// Decides about a call.
    pub(crate) fn decide<A: Answer>(
        &mut self,
        plan: &Plan,
        now: u64,
        cost: u64,
        effect: Effect,
    ) -> A {
        if cost > plan.capacity() {
            return A::new(false, false, || plan.never());
        }
        let takes = |allowed| allowed && cost > 0 && effect.takes();
        match &plan.rule() {
            Rule::Gcra(gcra) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, was_beyond) = self.instant_under(gcra, now, at);
                let call = gcra.arrive(ticks, at, cost);
                let allowed = match effect.longest() {
                    _ if cost == 0 => true,
                    None => gcra.admits(&call),
                    Some(longest) => gcra.admits_within(&call, longest),
                };
                let taken = takes(allowed);
                let end = call.tat();
                if taken {
                    self.set_instant(gcra, now, end);
                } else if effect.takes()
                    && (was_beyond
                        || matches!(self.0, Repr::Reserved(_))
                            && !gcra.exceeds_full_debt(ticks, at))
                {
                    // Kept although the call is denied, because every later call would find the
                    // instant in the future again.
                    self.set_instant(gcra, now, ticks);
                }
                let is_reserved = !gcra.admits(&call);
                A::new(allowed, gcra.delays(&call) || is_reserved, || {
                    let mut decision = gcra.decision(&call, allowed, taken);
                    if !allowed && effect.longest().is_some() {
                        decision.retry_after = gcra.slot_after(&call);
                    }
                    if taken && (gcra.is_queue() || is_reserved) {
                        decision.reservation = Reservation::ending(end);
                    }
                    decision
                })
            }
            Rule::Log(log) => match &mut self.0 {
                Repr::Log(state) => log.decide(state, now, cost, effect),
                _ => {
                    let mut state = LogState::default();
                    let answer = log.decide(&mut state, now, cost, effect);
                    if !state.is_empty() {
                        self.0 = Repr::Log(Box::new(state));
                    }
                    answer
                }
            },
            Rule::Window(window) => {
                let before = self.window_under(window);
                let mut state = before.at(window, now);
                let allowed = window.admits(&state.window, now, cost);
                if takes(allowed) {
                    state.window.cur += cost;
                    self.set_window(state);
                } else if before.window.start > now && effect.takes() {
                    self.set_window(state);
                }
                A::new(allowed, false, || {
                    state.decision(window, now, cost, allowed)
                })
            }
        }
    }

    /// Decides as [`State::decide`] does, by the packed form of the limit; `None` unless the state is a
    /// window or a log that is not empty.
    #[inline]
    pub(crate) fn try_take<A: Answer>(
        &mut self,
        rule: &Rule<u64>,
        now: u64,
        cost: u64,
    ) -> Option<A> {
        match (&mut self.0, rule) {
            (Repr::Log(state), Rule::Log(log)) if log.has(cost) => {
                Some(log.decide(state, now, cost, Effect::Take))
            }
            (Repr::Window(before), Rule::Window(window)) if window.has(cost) => {
                let mut state = window.at(*before, now);
                let allowed = window.admits(&state, now, cost);
                if allowed {
                    state.cur += cost;
                    *before = state;
                } else if before.start > now {
                    *before = state;
                }
                Some(A::new(allowed, false, || {
                    window.decision(&state, now, cost, allowed)
                }))
            }
            _ => None,
        }
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use std::time::Duration;

    use crate::algorithms::answer::Effect;
    use crate::algorithms::plan::Plan;
    use crate::algorithms::state::State;
    use crate::limit::decision::Decision;
    use crate::limit::quota::Limit;

    const SECOND: u64 = 1_000_000_000;

    fn reserved(plan: &Plan, now: u64) -> State {
        let mut state = State::default();
        for slot in 0..4 {
            let decision: Decision = state.decide(plan, now, 1, Effect::Reserve(u64::MAX));
            assert_eq!(decision.delay, Duration::from_secs(slot));
        }
        state
    }

    #[test]
    fn slots_that_callers_wait_for_are_owed_until_they_have_come() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let denied = state.take(&plan, now + SECOND, 1);
        assert_eq!(denied.retry_after, Duration::from_secs(3));
        assert!(state.take(&plan, now + 4 * SECOND, 1).allowed);
        assert!(state.is_fresh(&plan, now + 5 * SECOND));
    }

    #[test]
    fn after_a_step_back_of_the_clock_a_bucket_owes_a_refill_at_most() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let denied = state.take(&plan, now - SECOND, 1);
        assert_eq!(denied.retry_after, Duration::from_secs(1));
    }

    #[test]
    fn a_slot_beyond_the_longest_wait_is_not_taken() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let before = state.clone();
        let late: Decision = state.decide(&plan, now, 1, Effect::Reserve(4 * SECOND - 1));
        assert_eq!(
            (late.allowed, late.retry_after),
            (false, Duration::from_secs(4))
        );
        assert_eq!(state, before);
    }
}
