//! Sliding window counter: two counters stand for a sliding window.
//!
//! The units of the previous window count as if they had been spread evenly. See
//! [`window`](super::window).

use super::rule::Rule;
use super::window::Window;
use crate::limit::quota::Limit;

pub(super) fn rule(limit: &Limit) -> Rule<u128> {
    Rule::Window(Window::new(limit.quota(), limit.period_nanos(), true))
}
