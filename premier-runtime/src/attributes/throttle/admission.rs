//! The admission of a call of an async function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;

/// A future that resolves when the call is admitted or denied. A call that is decided at once
/// allocates nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    /// `None` if the call is admitted: most calls are, and `None` needs no drop.
    Decided(Option<Error>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>),
}

impl Admission {
    #[inline]
    pub(super) fn decided(result: Result<(), Error>) -> Self {
        Self(Stage::Decided(result.err()))
    }

    pub(super) fn waiting(
        admission: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Self {
        Self(Stage::Waiting(Box::pin(admission)))
    }
}

impl Future for Admission {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Stage::Decided(error) => Poll::Ready(error.take().map_or(Ok(()), Err)),
            Stage::Waiting(admission) => admission.as_mut().poll(context),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admission").finish_non_exhaustive()
    }
}
