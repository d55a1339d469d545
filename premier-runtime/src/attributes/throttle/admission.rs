//! The admission of a call of an async function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;

/// A future that resolves when a call is admitted or denied, for calls that are not admitted at once.
/// A call that is denied at once allocates nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    /// `None` once the error has been returned.
    Denied(Option<Error>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>),
}

impl Admission {
    pub(super) const fn denied(error: Error) -> Self {
        Self(Stage::Denied(Some(error)))
    }

    pub(super) fn waiting(
        admission: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Self {
        Self(Stage::Waiting(Box::pin(admission)))
    }
}

impl Future for Admission {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Stage::Denied(error) => Poll::Ready(error.take().map_or(Ok(()), Err)),
            Stage::Waiting(admission) => admission.as_mut().poll(context),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admission").finish_non_exhaustive()
    }
}
