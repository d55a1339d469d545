//! Sliding window counter: two counters stand for a sliding window.
//!
//! The units of the previous window count as if they had been spread evenly. See
//! [`window`](super::window).

use super::numbers::Numbers;
use super::window::Window;

/// The limit as the algorithm computes with it.
pub(super) const fn rule(numbers: &Numbers) -> Window {
    Window::new(numbers.quota, numbers.period, true)
}
