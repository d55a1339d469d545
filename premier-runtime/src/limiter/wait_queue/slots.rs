//! What becomes of the slots of a leaky bucket when one who has one leaves.

use std::task::Waker;

use super::Waiter;
use crate::algorithms::Plan;
use crate::limit::decision::Reservation;

/// Moves those behind `place` up into its slot, in each limit apart: where slots follow one
/// another without a gap all begin earlier by the length of the one that got free, and where
/// somebody else's lies between, one of equal length takes its place. Returns the slots that are
/// free in the end, with their length, and the wakers of those who moved.
pub(super) fn move_up(
    line: &mut [Waiter],
    place: usize,
    plans: &[Plan],
) -> ((Reservation, u64), Vec<Waker>) {
    let (left, behind) = line.split_at_mut(place + 1);
    let leaving = &left[place];
    let (cost, mut free) = (leaving.cost, leaving.slot);
    let before: Vec<u64> = behind.iter().map(|waiter| begin(waiter, plans)).collect();
    for (nth, plan) in plans.iter().enumerate() {
        if free.end(nth) == 0 {
            continue;
        }
        for waiter in &mut *behind {
            let end = waiter.slot.end(nth);
            let length = plan.ticks(waiter.cost);
            let follows = end.checked_sub(length) == Some(free.end(nth));
            if !follows && waiter.cost != cost {
                break;
            }
            let begins = free.end(nth) - plan.ticks(cost);
            waiter.slot.set_end(nth, begins + length);
            free.set_end(nth, end);
        }
    }
    let mut wakers = Vec::new();
    for (waiter, before) in behind.iter_mut().zip(before) {
        let earlier = before.saturating_sub(begin(waiter, plans));
        if earlier > 0 {
            waiter.at = waiter.at.saturating_sub(earlier);
            wakers.extend(waiter.waker.take());
        }
    }
    ((free, cost), wakers)
}

/// When the slots of a waiter begin: nanoseconds of the store's clock, rounded up.
fn begin(waiter: &Waiter, plans: &[Plan]) -> u64 {
    plans
        .iter()
        .enumerate()
        .filter_map(|(nth, plan)| {
            let begins = waiter.slot.end(nth).checked_sub(plan.ticks(waiter.cost))?;
            Some(begins.div_ceil(u128::from(plan.den())))
        })
        .max()
        .map_or(0, |begin| u64::try_from(begin).unwrap_or(u64::MAX))
}
