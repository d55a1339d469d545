//! The state of one key under one limit, and what calls do to it.

mod correct;
mod decide;
mod expire;
mod repr;

use super::owing_window::OwingWindow;
use super::sliding_log::LogState;
use super::tat::{Reserved, Tat};
use super::window::WindowState;

/// The state of one key under one limit. [`State::default`] is the state of a key never seen.
///
/// ```
/// use premier::Limit;
/// use premier::algorithms::{Plan, State};
/// use std::time::Duration;
///
/// let plan = Plan::new(Limit::token_bucket(2, Duration::from_secs(1)))?;
/// let mut state = State::default();
/// assert!(state.take(&plan, 0, 2).allowed);
/// let denied = state.take(&plan, 1, 1);
/// assert!(!denied.allowed);
/// assert_eq!(denied.retry_after, Duration::from_nanos(499_999_999));
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State(pub(super) Repr);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Repr {
    #[default]
    Fresh,
    // Boxed: a log has a heap part anyway, and the state of the others stays small.
    Log(Box<LogState>),
    /// A bucket with at most a full debt.
    Tat(Tat),
    /// A bucket with more than a full debt: callers wait for their slots.
    Reserved(Box<Reserved>),
    Window(WindowState),
    /// A window that was charged with units above its quota.
    Owing(Box<OwingWindow>),
}
