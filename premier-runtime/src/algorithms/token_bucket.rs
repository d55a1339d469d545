//! Token bucket by GCRA.
//!
//! With T the emission interval and B the burst, a call of cost c is admitted when
//! max(TAT, t) + c·T − t ≤ B·T, and then moves the TAT there (ITU-T I.371, annex A: the virtual
//! scheduling algorithm).

use super::{Effect, Plan, Tat};
use crate::limit::decision::Decision;

pub(super) fn decide(
    state: &mut Tat,
    plan: &Plan,
    now: u64,
    cost: u64,
    effect: Effect,
) -> Decision {
    let (mut tat, now) = state.read(plan, now);
    let full = plan.full();
    let debt = tat - now + plan.ticks(cost);
    let allowed = debt <= full;
    if allowed && effect == Effect::Take {
        tat = now + debt;
        state.write(plan, tat);
    }
    let mut decision = plan.decision();
    decision.allowed = allowed;
    // At most the capacity, so it fits.
    decision.remaining = ((full - (tat - now)) / u128::from(plan.interval())) as u64;
    decision.retry_after = plan.duration(debt.saturating_sub(full));
    decision.reset_after = plan.duration(tat - now);
    decision
}
