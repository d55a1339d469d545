//! Numbers that order waiters, with room for others in between.

/// The order of a waiter. A smaller number is ahead of a larger one.
pub(super) type Order = u128;

/// The distance between waiters that join at the back.
const GAP: Order = 1 << 64;

/// The number for a waiter that joins between two others, or at the back, behind `newest`, the largest
/// number given so far.
pub(super) fn between(before: Order, behind: Option<Order>, newest: Order) -> Order {
    match behind {
        // After 64 waiters that each joined right ahead of the last one there may be no number
        // left. The next one joins at the back.
        Some(behind) if behind - before > 1 => before + (behind - before) / 2,
        _ => newest + GAP,
    }
}
