//! Futures that threads can share a reference to, as they can those of most async functions.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// Makes a boxed future `Sync`, so that an attribute does not take this away from the future of the user's
/// function.
#[must_use = "futures do nothing unless awaited"]
// Polling needs a unique reference, so the mutex is never locked.
pub(crate) struct SyncFuture<F>(Mutex<F>);

impl<F: Future + Unpin> SyncFuture<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self(Mutex::new(future))
    }
}

impl<F: Future + Unpin> Future for SyncFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(future).poll(context)
    }
}

impl<F> fmt::Debug for SyncFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SyncFuture").finish_non_exhaustive()
    }
}
