//! How long a call may wait, and behind how many others.

use std::time::Duration;

/// How long a call may wait to be admitted, and how many calls may wait with it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct MaxWait {
    pub(crate) time: WaitTime,
    /// `None` means without limit.
    pub(crate) calls: Option<u64>,
}

/// How long a call may wait to be admitted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum WaitTime {
    #[default]
    None,
    AtMost(Duration),
    Unbounded,
}

impl MaxWait {
    pub(crate) const NONE: Self = Self {
        time: WaitTime::None,
        calls: None,
    };

    #[inline]
    pub(crate) fn may_wait(self) -> bool {
        self.time != WaitTime::None
    }
}
