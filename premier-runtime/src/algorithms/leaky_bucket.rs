//! Leaky bucket as a queue: calls run one emission interval apart.
//!
//! The capacity is the unit that runs and the `bucket_size` units that wait; a call runs when the
//! TAT has come. See [`gcra`](super::gcra).

use super::gcra::Gcra;
use super::numbers::Numbers;

/// The limit as the algorithm computes with it.
pub(super) const fn rule(numbers: &Numbers) -> Gcra<u128> {
    Gcra::new(numbers.capacity, numbers.interval, numbers.den, true)
}
