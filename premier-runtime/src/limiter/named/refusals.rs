//! The errors of calls that are not admitted.

use std::sync::Arc;
use std::time::Duration;

use super::Limiter;
use crate::error::Error;
use crate::limiter::max_wait::{MaxWait, WaitTime};

impl Limiter {
    /// The error for a call that is not admitted within its maximum wait.
    #[cold]
    pub(crate) fn refused(
        &self,
        key: Option<&str>,
        max_wait: MaxWait,
        retry_after: Duration,
    ) -> Error {
        match max_wait.time {
            WaitTime::None => self.denied(key, retry_after),
            WaitTime::AtMost(_) | WaitTime::Unbounded if self.may_wait_too(max_wait) => {
                self.too_late(key, retry_after)
            }
            WaitTime::AtMost(_) | WaitTime::Unbounded => self.too_many_waiting(key, max_wait),
        }
    }

    /// The error for a call that may not wait, because as many calls wait as may.
    #[cold]
    pub(in crate::limiter) fn too_many_waiting(
        &self,
        key: Option<&str>,
        max_wait: MaxWait,
    ) -> Error {
        Error::TooManyWaiting {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            max_waiting: max_wait.calls.unwrap_or(u64::MAX),
        }
    }

    /// The error for a denial.
    #[cold]
    pub(crate) fn denied(&self, key: Option<&str>, retry_after: Duration) -> Error {
        if !self.is_queue() {
            return self.too_late(key, retry_after);
        }
        Error::BucketFull {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            retry_after,
        }
    }

    /// The error for a wait that would take too long.
    pub(crate) fn too_late(&self, key: Option<&str>, retry_after: Duration) -> Error {
        Error::QuotaExceeded {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            retry_after,
        }
    }
}
