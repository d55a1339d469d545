//! Leaky bucket as a queue.
//!
//! Slots are T apart and the state is the next free one. A call of cost c takes the next c slots
//! and runs at the first of them; it is refused when the last of them would be more than
//! bucket_size · T away. For c = 1 that is: refused when it would wait longer than bucket_size · T.

use super::{Effect, Plan, Tat};
use crate::limit::decision::{Decision, Reservation};

pub(super) fn decide(
    state: &mut Tat,
    plan: &Plan,
    now: u64,
    cost: u64,
    effect: Effect,
) -> Decision {
    let (mut next_free, now) = state.read(plan, now);
    let wait = next_free - now;
    let longest = plan.ticks(plan.limit().bucket_size_or_default());
    let last = wait + plan.ticks(cost.saturating_sub(1));
    let allowed = cost == 0 || last <= longest;
    let mut decision = plan.decision();
    decision.allowed = allowed;
    if allowed && cost > 0 {
        decision.delay = plan.duration(wait);
        if effect == Effect::Take {
            next_free += plan.ticks(cost);
            state.write(plan, next_free);
            decision.reservation = Reservation::ending(next_free);
        }
    }
    if !allowed {
        decision.retry_after = plan.duration(last - longest);
    }
    let ahead = next_free - now;
    decision.remaining = match longest.checked_sub(ahead) {
        // At most the capacity, so it fits.
        Some(room) => (room / u128::from(plan.interval())) as u64 + 1,
        None => 0,
    };
    decision.reset_after = plan.duration(ahead);
    decision
}

/// Gives the slot back that ends at `end`, if no other was given out behind it.
pub(super) fn release(state: &mut Tat, plan: &Plan, end: u128, units: u64) {
    if state.ends_at(plan, end) {
        state.write(plan, end.saturating_sub(plan.ticks(units)));
    }
}
