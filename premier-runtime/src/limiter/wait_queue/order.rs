//! Numbers that say who stands before whom, with room for others in between.

/// A smaller number stands before a larger one.
pub(super) type Order = u128;

/// How far apart those are who join at the back.
const GAP: Order = 1 << 64;

/// The number for a newcomer that stands between two others, or behind `newest`, the largest number
/// given so far, if nobody is to stand behind it.
pub(super) fn between(before: Order, behind: Option<Order>, newest: Order) -> Order {
    match behind {
        // After 64 newcomers that each stood right before the one before them there may be no
        // number left. The next one has to stand at the back.
        Some(behind) if behind - before > 1 => before + (behind - before) / 2,
        _ => newest + GAP,
    }
}
