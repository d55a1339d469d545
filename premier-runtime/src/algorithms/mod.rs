//! The five algorithms as pure functions.
//!
//! Nothing here knows a clock, a lock or a handler: a decision is a function of the state of one
//! key, the [`Plan`] of its limit, the time in nanoseconds and the cost of the call. All
//! arithmetic is on integers; where period / quota is not a whole number of nanoseconds, instants
//! are counted in fractions of one, so that nothing is ever rounded.
//!
//! Instants that lie in the future although the algorithm never puts them there tell of a clock
//! that stepped back. They are clamped, so that a step back costs a key at most one full refill.

mod fixed_window;
mod leaky_bucket;
mod plan;
mod sliding_log;
mod sliding_window;
mod tat;
mod token_bucket;

use std::time::Duration;

pub use self::plan::Plan;
use self::tat::Tat;
use crate::decision::{Decision, Reservation};
use crate::limit::Algo;

/// The state of one key under one limit. [`State::default`] is that of a key never seen.
///
/// ```
/// use premier::Limit;
/// use premier::algorithms::{Plan, State};
/// use std::time::Duration;
///
/// let plan = Plan::new(Limit::token_bucket(2, Duration::from_secs(1)))?;
/// let mut state = State::default();
/// assert!(state.take(&plan, 0, 2).allowed);
/// let denied = state.take(&plan, 1, 1);
/// assert!(!denied.allowed);
/// assert_eq!(denied.retry_after, Duration::from_nanos(499_999_999));
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State(Repr);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Repr {
    #[default]
    Fresh,
    FixedWindow(fixed_window::State),
    // Boxed: a log has a heap part anyway, and the state of the others stays small.
    SlidingLog(Box<sliding_log::State>),
    SlidingWindow(sliding_window::State),
    Tat(Tat),
}

/// What a decision is to do with the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Take the cost when it is admitted.
    Take,
    /// Change nothing.
    Look,
}

impl State {
    /// Decides about a call that costs `cost` units at `now` (nanoseconds) and takes them when it
    /// is admitted. A denied call and a cost of 0 change nothing.
    ///
    /// A cost above [`Plan::capacity`] can never be admitted: callers answer that with
    /// [`Error::CostExceedsCapacity`](crate::Error::CostExceedsCapacity) and do not come here; if
    /// they do, the call is denied with the longest `retry_after` there is.
    pub fn take(&mut self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.decide(plan, now, cost, Effect::Take)
    }

    /// Takes `cost` units if [`State::take`] would admit them with no delay and there is nothing to
    /// it but a comparison and a sum; otherwise nothing changes that a decision could tell, and
    /// `take` has to be asked. What is nearly always all there is to do, without a [`Decision`].
    #[inline]
    pub(crate) fn admit(&mut self, plan: &Plan, now: u64, cost: u64) -> bool {
        if cost == 0 {
            return false;
        }
        match (&mut self.0, plan.limit().algo()) {
            (Repr::Tat(state), Algo::TokenBucket) => state.admit(plan, now, cost, false),
            (Repr::Tat(state), Algo::LeakyBucket) => state.admit(plan, now, cost, true),
            (Repr::FixedWindow(state), Algo::FixedWindow) => state.admit(plan, now, cost),
            (Repr::SlidingWindow(state), Algo::SlidingWindow) => state.admit(plan, now, cost),
            (Repr::SlidingLog(state), Algo::SlidingLog) => state.admit(plan, now, cost),
            _ => false,
        }
    }

    /// The instant of a bucket in ticks of which a nanosecond has `den`; of a key never seen 0.
    pub(crate) fn instant(&self, den: u64) -> Option<u128> {
        match &self.0 {
            Repr::Fresh => Some(0),
            Repr::Tat(state) if state.parts().1 == den => Some(state.parts().0),
            _ => None,
        }
    }

    /// The start of a window that is counted in, its count, and that of the window before.
    pub(crate) fn window(&self) -> Option<(u64, u64, u64)> {
        match &self.0 {
            Repr::FixedWindow(state) => Some(state.parts()),
            Repr::SlidingWindow(state) => Some(state.parts()),
            _ => None,
        }
    }

    /// The state of a plan by windows with these [parts](Self::window).
    pub(crate) fn of_window(plan: &Plan, start: u64, count: u64, prev: u64) -> Self {
        match plan.limit().algo() {
            Algo::SlidingWindow => Self::sliding_window(start, count, prev),
            _ => Self::fixed_window(start, count),
        }
    }

    /// A bucket with this instant.
    pub(crate) const fn at_instant(ticks: u128, den: u64) -> Self {
        Self(Repr::Tat(Tat::of_parts(ticks, den)))
    }

    /// Decides as [`State::take`] does, and takes nothing: `remaining` is what there is before
    /// the call.
    #[must_use]
    pub fn peek(&self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.look(plan, now, cost)
    }

    /// Gives `units` back, at most as many as are taken.
    pub fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        match &mut self.0 {
            Repr::Fresh => {}
            Repr::FixedWindow(state) => state.refund(plan, now, units),
            Repr::SlidingLog(state) => state.refund(plan, now, units),
            Repr::SlidingWindow(state) => state.refund(plan, now, units),
            Repr::Tat(state) => state.refund(plan, now, units),
        }
        self.forget_if_fresh(plan, now);
    }

    /// Whether a key with this state decides exactly as one never seen, from `now` on.
    #[must_use]
    pub fn is_fresh(&self, plan: &Plan, now: u64) -> bool {
        self.is_idle(plan.period(), now)
    }

    /// Whether it is fresh under every limit with a period of at most this.
    pub(crate) fn is_idle(&self, period: u64, now: u64) -> bool {
        match &self.0 {
            Repr::Fresh => true,
            Repr::FixedWindow(state) => state.is_fresh(period, now),
            Repr::SlidingLog(state) => state.is_fresh(period, now),
            Repr::SlidingWindow(state) => state.is_fresh(period, now),
            // An instant is past or not, whatever the limit.
            Repr::Tat(state) => state.is_fresh(now),
        }
    }

    /// Gives back what a call took under the `nth` limit: its slot, if that is still the last one of
    /// the queue, or its units, if the state still counts them. Otherwise they would be taken from
    /// somebody else.
    pub(crate) fn release(
        &mut self,
        plan: &Plan,
        now: u64,
        slot: &Reservation,
        nth: usize,
        units: u64,
    ) {
        match (&mut self.0, slot.end(nth)) {
            (Repr::Tat(state), 0) if now < slot.until(nth) => state.refund(plan, now, units),
            (Repr::Tat(state), end) => leaky_bucket::release(state, plan, end, units),
            (Repr::FixedWindow(state), _) if state.is_of(slot.since) => {
                state.refund(plan, now, units);
            }
            (Repr::SlidingWindow(state), _) if state.is_of(slot.since) => {
                state.refund(plan, now, units);
            }
            (Repr::SlidingLog(state), _) if state.ends_at(slot.since) => {
                state.refund(plan, now, units);
            }
            _ => {}
        }
        self.forget_if_fresh(plan, now);
    }

    /// A state of [`Algo::FixedWindow`] that a store has kept.
    pub(crate) const fn fixed_window(start: u64, used: u64) -> Self {
        Self(Repr::FixedWindow(fixed_window::State::new(start, used)))
    }

    /// A state of [`Algo::SlidingWindow`] that a store has kept.
    pub(crate) const fn sliding_window(start: u64, cur: u64, prev: u64) -> Self {
        Self(Repr::SlidingWindow(sliding_window::State::new(
            start, cur, prev,
        )))
    }

    /// A state of a bucket that a store has kept: an instant `ahead` ticks after `now`.
    #[cfg(feature = "redis")]
    pub(crate) fn tat(plan: &Plan, now: u64, ahead: u128) -> Self {
        Self(Repr::Tat(Tat::ahead(plan, now, ahead)))
    }

    fn decide(&mut self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        if cost > plan.capacity() {
            return plan.never();
        }
        match plan.limit().algo() {
            Algo::FixedWindow => {
                let mut state = match &self.0 {
                    Repr::FixedWindow(state) => *state,
                    _ => fixed_window::State::default(),
                };
                let settled = state.settle(now);
                let decision = state.decide(plan, now, cost, effect);
                self.store(decision, cost, effect, settled, || Repr::FixedWindow(state));
                decision
            }
            Algo::SlidingWindow => {
                let mut state = match &self.0 {
                    Repr::SlidingWindow(state) => *state,
                    _ => sliding_window::State::default(),
                };
                let settled = state.settle(now);
                let decision = state.decide(plan, now, cost, effect);
                self.store(decision, cost, effect, settled, || {
                    Repr::SlidingWindow(state)
                });
                decision
            }
            Algo::TokenBucket | Algo::LeakyBucket => {
                let mut state = match &self.0 {
                    Repr::Tat(state) => *state,
                    _ => Tat::default(),
                };
                let settled = state.settle(plan, now);
                let decision = match plan.limit().algo() {
                    Algo::TokenBucket => token_bucket::decide(&mut state, plan, now, cost, effect),
                    _ => leaky_bucket::decide(&mut state, plan, now, cost, effect),
                };
                self.store(decision, cost, effect, settled, || Repr::Tat(state));
                decision
            }
            Algo::SlidingLog => match &mut self.0 {
                Repr::SlidingLog(state) => state.decide(plan, now, cost, effect),
                _ => {
                    let mut state = sliding_log::State::default();
                    let decision = state.decide(plan, now, cost, effect);
                    self.store(decision, cost, effect, false, || {
                        Repr::SlidingLog(Box::new(state))
                    });
                    decision
                }
            },
        }
    }

    fn look(&self, plan: &Plan, now: u64, cost: u64) -> Decision {
        if cost > plan.capacity() {
            return plan.never();
        }
        if let Repr::SlidingLog(state) = &self.0 {
            return state.look(plan, now, cost);
        }
        self.clone().decide(plan, now, cost, Effect::Look)
    }

    /// Keeps what an admitted call has changed, and what a denied one has `settled`: otherwise an
    /// instant of the future would be met again by every call until its time has come.
    fn store(
        &mut self,
        decision: Decision,
        cost: u64,
        effect: Effect,
        settled: bool,
        repr: impl FnOnce() -> Repr,
    ) {
        if effect == Effect::Take && (settled || decision.allowed && cost > 0) {
            self.0 = repr();
        }
    }

    fn forget_if_fresh(&mut self, plan: &Plan, now: u64) {
        if self.is_fresh(plan, now) {
            self.0 = Repr::Fresh;
        }
    }
}

/// Decides about several limits as one: all admit and all take, or nothing is taken.
///
/// The answer carries the tightest `remaining` with its limit, the longest `delay`, and as
/// `retry_after` the longest of those that deny: each admission, once possible, stays possible, so
/// that is the first instant at which all admit.
pub(crate) fn take_all(
    states: &mut [State],
    plans: &[Plan],
    now: u64,
    cost: u64,
    effect: Effect,
) -> Decision {
    if let ([state], [plan]) = (&mut *states, plans) {
        return match effect {
            Effect::Take => combine(std::iter::once(state.take(plan, now, cost))).taken_at(now),
            Effect::Look => state.peek(plan, now, cost),
        };
    }
    let looked = combine(
        states
            .iter()
            .zip(plans)
            .map(|(state, plan)| state.peek(plan, now, cost)),
    );
    if !looked.allowed || effect == Effect::Look || cost == 0 {
        return looked;
    }
    let taken = combine(
        states
            .iter_mut()
            .zip(plans)
            .map(|(state, plan)| state.take(plan, now, cost)),
    );
    taken.taken_at(now)
}

pub(crate) fn combine(decisions: impl Iterator<Item = Decision>) -> Decision {
    let mut combined: Option<Decision> = None;
    for (nth, mut one) in decisions.enumerate() {
        let Some(all) = combined else {
            one.reservation.remember(0, one.reset_after);
            combined = Some(one);
            continue;
        };
        let (tightest, other) = if one.remaining < all.remaining {
            (one, all)
        } else {
            (all, one)
        };
        let mut reservation = all.reservation;
        reservation.set_end(nth, one.reservation.end(0));
        reservation.remember(nth, one.reset_after);
        combined = Some(Decision {
            allowed: all.allowed && one.allowed,
            retry_after: all.retry_after.max(one.retry_after),
            reset_after: all.reset_after.max(one.reset_after),
            delay: all.delay.max(one.delay),
            reservation,
            ..if tightest.allowed && !other.allowed {
                other
            } else {
                tightest
            }
        });
    }
    combined.unwrap_or_default()
}

/// No earlier than this after the head of a line may be admitted can a further `units` behind it,
/// unless something is given back.
pub(crate) fn earliest_behind(plans: &[Plan], head: u64, units: u64) -> Duration {
    plans
        .iter()
        .map(|plan| plan.earliest_behind(head, units))
        .max()
        .unwrap_or_default()
}

/// How long a call of `cost` that finds room in a full queue waits there until it runs.
pub(crate) fn queue_time(plans: &[Plan], cost: u64) -> Duration {
    plans
        .iter()
        .map(|plan| plan.queue_time(cost))
        .max()
        .unwrap_or_default()
}
