//! Several limits decided as one.

use std::cmp::Ordering;
use std::time::Duration;

use super::answer::Effect;
use super::plan::Plan;
use super::state::State;
use crate::limit::decision::{DecidingLimits, Decision};

/// Decides about several limits as one: all admit and all take, or nothing is taken.
///
/// The answer has the `remaining`, the limit and the `more_after` of the tightest limit, of equal ones that with
/// the longer `more_after`; the longest `delay`; and as `retry_after` the longest of the limits that deny: an
/// admission that has become possible stays possible, so this is the first instant at which all admit.
pub(crate) fn take_all(
    states: &mut [State],
    plans: &[Plan],
    now: u64,
    cost: u64,
    effect: Effect,
) -> Decision {
    if let ([state], [plan]) = (&mut *states, plans) {
        return match effect.takes() {
            true => state
                .decide::<Decision>(plan, now, cost, effect)
                .taken_at(now),
            false => state.look(plan, now, cost, effect),
        };
    }
    let looked = combine(
        states
            .iter()
            .zip(plans)
            .map(|(state, plan)| state.look(plan, now, cost, effect.without_change())),
    );
    if !looked.allowed || !effect.takes() || cost == 0 {
        return looked;
    }
    let taken = combine(
        states
            .iter_mut()
            .zip(plans)
            .map(|(state, plan)| state.decide(plan, now, cost, effect)),
    );
    taken.all_taken_at(now)
}

/// Combines the decisions of several limits, in the order of the limits.
pub(crate) fn combine(decisions: impl Iterator<Item = Decision>) -> Decision {
    let mut combined: Option<Decision> = None;
    for (index, mut one) in decisions.enumerate() {
        let Some(all) = combined else {
            one.reservation.remember(0, one.reset_after);
            one.limits = of_limit(0, &one);
            combined = Some(one);
            continue;
        };
        one.limits = of_limit(index, &one);
        let denying = all.limits.denying | one.limits.denying;
        let is_tighter = match one.remaining.cmp(&all.remaining) {
            Ordering::Equal => one.more_after > all.more_after,
            order => order.is_lt(),
        };
        let (mut tightest, mut other) = if is_tighter { (one, all) } else { (all, one) };
        tightest.limits.denying = denying;
        other.limits.denying = denying;
        let mut reservation = all.reservation;
        reservation.set_end(index, one.reservation.end(0));
        reservation.remember(index, one.reset_after);
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

/// A decision of the limit at this index.
fn of_limit(index: usize, decision: &Decision) -> DecidingLimits {
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    DecidingLimits {
        tightest: index,
        denying: u32::from(!decision.allowed)
            .checked_shl(index.into())
            .unwrap_or(0),
    }
}

/// The shortest time after the admission of the head of a queue at which `units` more behind it can be
/// admitted, if no units are refunded.
pub(crate) fn earliest_behind(plans: &[Plan], head: u64, units: u64) -> Duration {
    plans
        .iter()
        .map(|plan| plan.earliest_behind(head, units))
        .max()
        .unwrap_or_default()
}
