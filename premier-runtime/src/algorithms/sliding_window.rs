//! Sliding window counter: two counters stand for a sliding window.
//!
//! The units of the previous window count as if they had been spread evenly. See
//! [`window`](super::window).

use super::window::Window;
use crate::limit::quota::Limit;

/// The limit as the algorithm computes with it.
pub(super) fn rule(limit: &Limit) -> Window {
    Window::new(limit.quota(), limit.period_nanos(), true)
}
