//! The outcome of a decision, as events and metrics name it.

use crate::error::Error;

/// The outcome of a decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Admitted,
    Denied,
    /// The limit denied the request, but its layer runs in shadow mode and admitted it.
    #[cfg(feature = "tower")]
    ShadowDenied,
    /// The store could not decide.
    Failed,
}

impl Outcome {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Denied => "denied",
            #[cfg(feature = "tower")]
            Self::ShadowDenied => "shadow_denied",
            Self::Failed => "error",
        }
    }

    /// Returns the outcome of a decision, given whether it allows the call.
    #[inline]
    pub(crate) fn of(result: Result<bool, &Error>) -> Self {
        match result {
            Ok(true) => Self::Admitted,
            Ok(false) | Err(Error::QuotaExceeded { .. } | Error::BucketFull { .. }) => Self::Denied,
            Err(_) => Self::Failed,
        }
    }
}
