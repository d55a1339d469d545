//! The admission of a call that was not admitted at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::limiter::acquire::{acquire, acquire_async};
use crate::limiter::call::Call;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::wait::First;
use crate::store::request::BoxFuture;
use crate::sync_future::SyncFuture;

/// A future that resolves when a call is admitted or denied, for calls that are not admitted at once.
/// A call that is denied at once allocates nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    /// `None` once the error has been returned.
    Denied(Option<Error>),
    Waiting(SyncFuture<BoxFuture<'static, Result<(), Error>>>),
}

impl Admission {
    pub(super) const fn denied(error: Error) -> Self {
        Self(Stage::Denied(Some(error)))
    }

    pub(super) fn waiting(
        admission: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Self {
        Self(Stage::Waiting(SyncFuture::new(Box::pin(admission))))
    }
}

impl Future for Admission {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Stage::Denied(error) => Poll::Ready(error.take().map_or(Ok(()), Err)),
            Stage::Waiting(admission) => Pin::new(admission).poll(context),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// A call of a sync function that was not admitted at once.
#[derive(Debug)]
#[must_use]
pub struct SyncAdmission(SyncStage);

#[derive(Debug)]
enum SyncStage {
    Denied(Error),
    // Boxed, so that a denial is not larger than its error.
    Undecided(Box<Undecided>),
}

/// A call that may have to wait. It owns its key.
#[derive(Debug)]
pub(super) struct Undecided {
    pub(super) key: Option<String>,
    pub(super) cost: u64,
    /// The first decision if it has been made.
    pub(super) first: Option<Box<First>>,
    pub(super) limiter: &'static Limiter,
    pub(super) max_wait: MaxWait,
}

impl SyncAdmission {
    pub(super) const fn denied(error: Error) -> Self {
        Self(SyncStage::Denied(error))
    }

    pub(super) fn undecided(call: Undecided) -> Self {
        Self(SyncStage::Undecided(Box::new(call)))
    }

    /// Blocks the thread until the call is admitted or denied.
    ///
    /// # Errors
    /// The call is denied, or an argument is invalid.
    pub fn wait(self) -> Result<(), Error> {
        match self.0 {
            SyncStage::Denied(error) => Err(error),
            SyncStage::Undecided(call) => call.wait(),
        }
    }
}

impl Undecided {
    /// Blocks the thread until the call is admitted or denied.
    pub(super) fn wait(self) -> Result<(), Error> {
        let call = Call {
            limiter: self.limiter,
            key: self.key.as_deref(),
            cost: self.cost,
            max_wait: self.max_wait,
        };
        acquire(call, self.first).map(drop)
    }

    /// As [`Undecided::wait`], without blocking the thread.
    pub(super) async fn wait_async(self) -> Result<(), Error> {
        let call = Call {
            limiter: self.limiter,
            key: self.key.as_deref(),
            cost: self.cost,
            max_wait: self.max_wait,
        };
        acquire_async(call, self.first).await.map(drop)
    }
}
