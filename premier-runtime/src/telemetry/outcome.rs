//! The outcome of a decision, as events and metrics name it.

use crate::error::Error;

/// The outcome of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'e> {
    Admitted,
    Denied,
    /// The limit denied the request, but its layer runs in shadow mode and admitted it.
    #[cfg(feature = "tower")]
    ShadowDenied,
    /// There is no decision.
    #[cfg_attr(
        not(any(feature = "metrics", feature = "tracing")),
        expect(dead_code, reason = "only events and metrics tell the errors apart")
    )]
    Failed(&'e Error),
}

impl<'e> Outcome<'e> {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Denied => "denied",
            #[cfg(feature = "tower")]
            Self::ShadowDenied => "shadow_denied",
            Self::Failed(_) => "error",
        }
    }

    /// Returns the outcome of a decision, given whether it allows the call.
    #[inline]
    pub(crate) fn of(result: Result<bool, &'e Error>) -> Self {
        match result {
            Ok(true) => Self::Admitted,
            Ok(false)
            | Err(
                Error::QuotaExceeded { .. }
                | Error::BucketFull { .. }
                | Error::TooManyWaiting { .. },
            ) => Self::Denied,
            Err(error) => Self::Failed(error),
        }
    }

    pub(crate) const fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted)
    }
}

/// Why there is no decision.
#[cfg(any(feature = "metrics", feature = "tracing"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The store did not decide.
    Backend,
    /// The call costs more than the limit can ever admit.
    CostExceedsCapacity,
    /// The memory is full.
    TooManyKeys,
    /// An argument, as a cost, is invalid.
    Config,
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Failure {
    pub(super) const ALL: [Self; 4] = [
        Self::Backend,
        Self::CostExceedsCapacity,
        Self::TooManyKeys,
        Self::Config,
    ];

    pub(super) const fn of(error: &Error) -> Self {
        match error {
            Error::Backend { .. } => Self::Backend,
            Error::CostExceedsCapacity { .. } => Self::CostExceedsCapacity,
            Error::TooManyKeys { .. } => Self::TooManyKeys,
            _ => Self::Config,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::CostExceedsCapacity => "cost_exceeds_capacity",
            Self::TooManyKeys => "too_many_keys",
            Self::Config => "config",
        }
    }
}
