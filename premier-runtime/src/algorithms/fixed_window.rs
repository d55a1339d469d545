//! Fixed window: a counter that starts over.
//!
//! The window opens at the first call after the last one closed. See [`window`](super::window).

use super::window::Window;
use crate::limit::quota::Limit;

/// The limit as the algorithm computes with it.
pub(super) fn rule(limit: &Limit) -> Window {
    Window::new(limit.quota(), limit.period_nanos(), false)
}
