//! Token bucket: a bucket of `burst` tokens that refills one token per emission interval.
//!
//! It is full when the TAT has passed. See [`gcra`](super::gcra).

use super::gcra::Gcra;
use crate::limit::quota::Limit;

/// The limit as the algorithm computes with it.
pub(super) fn rule(limit: &Limit) -> Gcra<u128> {
    let (interval, den) = limit.emission_interval();
    Gcra::new(limit.capacity(), interval, den, false)
}
