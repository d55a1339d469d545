//! Token bucket: a bucket of `burst` tokens that refills one token per emission interval.
//!
//! It is full when the TAT has passed. See [`gcra`](super::gcra).

use super::gcra::Gcra;
use super::rule::Rule;
use crate::limit::quota::Limit;

pub(super) fn rule(limit: &Limit) -> Rule<u128> {
    let (interval, den) = limit.emission_interval();
    Rule::Gcra(Gcra::new(limit.capacity(), interval, den, false))
}
