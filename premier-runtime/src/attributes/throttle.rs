//! What the expansion of `#[throttle]` calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use crate::algorithms;
use crate::attributes::into_arg::Cost;
use crate::attributes::throttle_spec::ThrottleSpec;
use crate::error::Error;
use crate::key::subject::{KeyText, Subject, with_text};
use crate::limit::decision::Decision;
use crate::limiter::acquire::{acquire_async_from, acquire_from, first_decision, spin};
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::wait::First;
use crate::telemetry::Outcome;

/// The static of one `#[throttle]`: its limit, bound at the first call.
#[derive(Debug, Default)]
pub struct ThrottleSite {
    bound: OnceLock<Result<Bound, Error>>,
}

#[derive(Debug)]
struct Bound {
    limiter: Arc<Limiter>,
    max_wait: MaxWait,
}

/// What the fast path has made of a call.
enum Entry {
    Decided(Result<(), Error>),
    /// The slot that it has taken is yet to come.
    Delayed(Decision),
    /// The store has to be asked.
    Undecided,
}

impl ThrottleSite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    /// Admits a call of a sync function, waiting on the thread where the limit says so.
    ///
    /// # Errors
    /// When the call is not admitted.
    #[inline]
    pub fn enter<K: KeyText>(
        &'static self,
        spec: fn() -> ThrottleSpec,
        key: K,
        cost: impl Cost,
    ) -> Result<(), Error> {
        let cost = cost.units()?;
        let bound = self.bound(spec)?;
        key.with_subject(|key| match bound.try_enter(key, cost) {
            Entry::Decided(result) => result,
            Entry::Delayed(decision) => bound.enter(key, cost, Some(decision)),
            Entry::Undecided => bound.enter(key, cost, None),
        })
    }

    /// Admits a call of an async function. In memory the decision is made here, before the first
    /// poll, and nothing is allocated unless the call has to wait.
    #[inline]
    pub fn enter_async<K: KeyText>(
        &'static self,
        spec: fn() -> ThrottleSpec,
        key: K,
        cost: impl Cost,
    ) -> Admission {
        let bound = self
            .bound(spec)
            .and_then(|bound| Ok((bound, cost.units()?)));
        let (bound, cost) = match bound {
            Ok(bound) => bound,
            Err(error) => return Admission::decided(Err(error)),
        };
        key.with_subject(|key| match bound.try_enter(key, cost) {
            Entry::Decided(result) => Admission::decided(result),
            Entry::Delayed(decision) => bound.enter_async(key, cost, Some(decision)),
            Entry::Undecided => bound.enter_async(key, cost, None),
        })
    }

    /// Admits a call whose future is built now and awaited later, if ever: the key is read now, and
    /// nothing is decided before the first poll.
    pub fn enter_deferred<K: KeyText>(
        &'static self,
        spec: fn() -> ThrottleSpec,
        key: K,
        cost: impl Cost,
    ) -> Admission {
        let key = key.with_text(|key| key.map(str::to_owned));
        let cost = cost.units();
        Admission(Stage::Waiting(Box::pin(async move {
            let Bound { limiter, max_wait } = self.bound(spec)?;
            acquire_async_from(limiter, key.as_deref(), cost?, *max_wait, None)
                .await
                .map(drop)
        })))
    }

    #[inline]
    fn bound(&'static self, spec: fn() -> ThrottleSpec) -> Result<&'static Bound, Error> {
        match self.bound.get() {
            Some(Ok(bound)) => Ok(bound),
            _ => self.bind(spec),
        }
    }

    #[cold]
    fn bind(&'static self, spec: fn() -> ThrottleSpec) -> Result<&'static Bound, Error> {
        self.bound
            .get_or_init(|| {
                let (limiter, max_wait) = spec().bind()?;
                Ok(Bound { limiter, max_wait })
            })
            .as_ref()
            .map_err(Error::clone)
    }
}

impl Bound {
    #[inline]
    fn try_enter(&self, key: Option<Subject<'_>>, cost: u64) -> Entry {
        let Self { limiter, max_wait } = self;
        match limiter.try_take(key, cost, *max_wait) {
            Some(algorithms::Admission::Admitted) => {
                limiter.record(key, Outcome::Admitted);
                Entry::Decided(Ok(()))
            }
            Some(algorithms::Admission::Denied(retry_after)) if *max_wait == MaxWait::None => {
                limiter.record(key, Outcome::Denied);
                let error = with_text(key, |key| limiter.denied(key, retry_after));
                Entry::Decided(Err(error))
            }
            Some(algorithms::Admission::Delayed(decision)) => Entry::Delayed(decision),
            Some(algorithms::Admission::Denied(_)) | None => Entry::Undecided,
        }
    }

    /// Goes on where the fast path has ended.
    fn enter(
        &self,
        key: Option<Subject<'_>>,
        cost: u64,
        delayed: Option<Decision>,
    ) -> Result<(), Error> {
        let Self { limiter, max_wait } = self;
        if delayed.is_some_and(|decision| spin(limiter, &decision, *max_wait)) {
            limiter.record(key, Outcome::Admitted);
            return Ok(());
        }
        let first = delayed.map(First::of_slot);
        with_text(key, |key| {
            acquire_from(limiter, key, cost, *max_wait, first)
        })
        .map(drop)
    }

    /// As [`Bound::enter`], without blocking the thread.
    fn enter_async(
        &'static self,
        key: Option<Subject<'_>>,
        cost: u64,
        delayed: Option<Decision>,
    ) -> Admission {
        let Self { limiter, max_wait } = self;
        if delayed.is_some_and(|decision| spin(limiter, &decision, *max_wait)) {
            limiter.record(key, Outcome::Admitted);
            return Admission::decided(Ok(()));
        }
        with_text(key, |text| {
            let first = match delayed {
                Some(decision) => Some(First::of_slot(decision)),
                None => match first_decision(limiter, text, cost, *max_wait) {
                    // Recorded when the wait is over.
                    Ok(Some(first)) if first.is_final() => {
                        limiter.record(key, Outcome::Admitted);
                        return Admission::decided(Ok(()));
                    }
                    Ok(first) => first,
                    Err(error) => {
                        let refused = limiter.recorded(key, Err::<(), _>(error), |()| true);
                        return Admission::decided(refused);
                    }
                },
            };
            let text = text.map(str::to_owned);
            Admission(Stage::Waiting(Box::pin(async move {
                acquire_async_from(limiter, text.as_deref(), cost, *max_wait, first)
                    .await
                    .map(drop)
            })))
        })
    }
}

/// The future of [`ThrottleSite::enter_async`].
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    Decided(Option<Result<(), Error>>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>),
}

impl Admission {
    #[inline]
    fn decided(result: Result<(), Error>) -> Self {
        // `None` is an admitted call, which nearly all are, and has nothing to drop.
        Self(Stage::Decided(result.err().map(Err)))
    }
}

impl Future for Admission {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Stage::Decided(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            Stage::Waiting(future) => future.as_mut().poll(context),
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// Errors that can carry the refusal of a call.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a `premier::Error`",
    label = "does not implement `From<premier::Error>`",
    note = "either implement `From<premier::Error>` for `{Self}` (with thiserror: a variant `Throttled(#[from] premier::Error)`)",
    note = "or give the attribute `on_reject = |error| …`, which supplies the value to return"
)]
pub trait FromRejection: Sized {
    /// The user's error for premier's.
    fn from_rejection(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FromRejection for E {
    fn from_rejection(error: Error) -> Self {
        error.into()
    }
}

/// Calls a closure once. A closure that is called where it is written may not return a borrow of what
/// it captured; one passed to `FnOnce` may.
pub fn once<R>(body: impl FnOnce() -> R) -> R {
    body()
}
