//! Token bucket: a bucket of `burst` tokens that refills one token per emission interval.
//!
//! It is full when the TAT has passed. See [`gcra`](super::gcra).

use super::gcra::Gcra;
use super::numbers::Numbers;

/// The limit as the algorithm computes with it.
pub(super) const fn rule(numbers: &Numbers) -> Gcra<u128> {
    Gcra::new(numbers.capacity, numbers.interval, numbers.den, false)
}
