//! Fixed window: a counter that starts over.
//!
//! The window opens at the first call after the last one closed. See [`window`](super::window).

use super::rule::Rule;
use super::window::Window;
use crate::limit::quota::Limit;

pub(super) fn rule(limit: &Limit) -> Rule<u128> {
    Rule::Window(Window::new(limit.quota(), limit.period_nanos(), false))
}
