//! What a decision came to.

use crate::error::Error;

/// What a decision came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Admitted,
    Denied,
    /// It would have been denied, had the layer not been a shadow.
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

    /// The outcome of a decision, by whether it allows the call.
    #[inline]
    pub(crate) fn of(result: Result<bool, &Error>) -> Self {
        match result {
            Ok(true) => Self::Admitted,
            Ok(false) | Err(Error::QuotaExceeded { .. } | Error::BucketFull { .. }) => Self::Denied,
            Err(_) => Self::Failed,
        }
    }
}
