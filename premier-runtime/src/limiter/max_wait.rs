//! How long a call may wait.

use std::time::Duration;

/// How long a call may wait to be admitted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum MaxWait {
    #[default]
    None,
    AtMost(Duration),
    Unbounded,
}
