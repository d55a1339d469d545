//! Leaky bucket as a queue: calls run one emission interval apart.
//!
//! The capacity is the unit that runs and the `bucket_size` units that wait; a call runs when the
//! TAT has come. See [`gcra`](super::gcra).

use super::gcra::Gcra;
use crate::limit::quota::Limit;

/// The limit as the algorithm computes with it.
pub(super) fn rule(limit: &Limit) -> Gcra<u128> {
    let (interval, den) = limit.emission_interval();
    Gcra::new(limit.capacity(), interval, den, true)
}
