//! Fixed window: a counter that starts over.
//!
//! The window opens at the first call after the last one closed. See [`window`](super::window).

use super::numbers::Numbers;
use super::window::Window;

/// The limit as the algorithm computes with it.
pub(super) const fn rule(numbers: &Numbers) -> Window {
    Window::new(numbers.quota, numbers.period, false)
}
