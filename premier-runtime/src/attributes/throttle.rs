//! What the expansion of `#[throttle]` talks to. Not part of the public interface.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use crate::attributes::into_arg::Cost;
use crate::attributes::throttle_spec::Spec;
use crate::error::Error;
use crate::key::subject::{KeyText, Subject, with_text};
use crate::limit::decision::Decision;
use crate::limiter::acquire::{Acquire, acquire, acquire_async, shortcut};
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;
use crate::store::memory::{Bucket, Keys, Verdict};
use crate::store::request::Operation;
use crate::telemetry::{Outcome, Telemetry};

/// The static of one `#[throttle]`: its limit, bound at the first call.
#[derive(Debug, Default)]
pub struct Site {
    /// The shortest way to admit a call without a key, where there is one: set once the site is bound.
    bucket: OnceLock<Bucket>,
    bound: OnceLock<Result<Bound, Error>>,
}

#[derive(Debug)]
struct Bound {
    /// The shortest way to admit a call with a key, as long as no limit has changed.
    keys: Option<Keys>,
    limiter: Arc<Limiter>,
    max_wait: MaxWait,
}

impl Bound {
    fn new((limiter, max_wait): (Arc<Limiter>, MaxWait)) -> Self {
        Self {
            // Whoever may wait does not overtake those who do.
            keys: limiter.keys().filter(|_| max_wait == MaxWait::None),
            limiter,
            max_wait,
        }
    }

    /// By the shortest way that leads there.
    #[inline]
    fn admit_user(&self, user: Option<Subject<'_>>, cost: u64) -> Verdict {
        match (user, &self.keys) {
            (Some(user), Some(keys)) if !overrides::any_changed() => keys.admit(user, cost),
            _ => self.limiter.admit(user, cost, self.max_wait),
        }
    }
}

impl Site {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bucket: OnceLock::new(),
            bound: OnceLock::new(),
        }
    }

    /// Admits a call of a sync function, waiting on the thread where the limit says so.
    ///
    /// # Errors
    /// When the call is not admitted.
    // Into its caller, which knows where its static is: a fifth less than behind a call for a bucket
    // that does not read the precise clock.
    #[inline(always)]
    pub fn enter<K: KeyText>(
        &'static self,
        spec: fn() -> Spec,
        key: K,
        cost: impl Cost,
    ) -> Result<(), Error> {
        let cost = cost.units()?;
        match self.decide_at_once::<K>(cost) {
            Verdict::Admitted => Ok(()),
            Verdict::Denied(nanos) => self.refuse(nanos),
            Verdict::Unknown => key.with_user(|user| self.enter_as(spec, user, cost)),
        }
    }

    /// What nearly always is all there is to do without a key, before anything is made ready for
    /// the rest.
    #[inline(always)]
    fn decide_at_once<K: KeyText>(&'static self, cost: u64) -> Verdict {
        match K::IS_KEYED {
            true => Verdict::Unknown,
            false => self.decide_without_key(cost),
        }
    }

    #[inline(always)]
    fn decide_without_key(&'static self, cost: u64) -> Verdict {
        let Some(bucket) = self.bucket.get() else {
            return Verdict::Unknown;
        };
        let verdict = match bucket.admit_deep(cost) {
            true => Verdict::Admitted,
            false if overrides::any_changed() => Verdict::Unknown,
            false => bucket.admit_by_clock(cost),
        };
        if verdict == Verdict::Admitted {
            self.told();
        }
        verdict
    }

    /// Tells of an admission by the shortest way.
    #[inline]
    fn told(&'static self) {
        // Nothing of it is left without a feature that listens.
        if Telemetry::IS_ON
            && let Some(Ok(bound)) = self.bound.get()
        {
            bound.limiter.told(None, Outcome::Admitted);
        }
    }

    /// After a denial without a key.
    #[cold]
    #[inline(never)]
    fn refuse(&'static self, nanos: u64) -> Result<(), Error> {
        let bound = self.bound.get().and_then(|bound| bound.as_ref().ok());
        let limiter = &bound.expect("it has decided").limiter;
        limiter.told(None, Outcome::Denied);
        Err(limiter.denied_for(None, nanos))
    }

    #[inline(never)]
    fn enter_as(
        &'static self,
        spec: fn() -> Spec,
        user: Option<Subject<'_>>,
        cost: u64,
    ) -> Result<(), Error> {
        let bound = self.bound(spec)?;
        let Bound {
            limiter, max_wait, ..
        } = bound;
        match bound.admit_user(user, cost) {
            Verdict::Admitted => {
                limiter.told(user, Outcome::Admitted);
                Ok(())
            }
            Verdict::Denied(nanos) => Err(refusal(limiter, user, nanos)),
            Verdict::Unknown => {
                with_text(user, |user| acquire_slowly(limiter, user, cost, *max_wait))
            }
        }
    }

    /// Admits a call of an async function. In memory the decision is made here, before the first
    /// poll, and nothing is allocated unless the call has to wait.
    #[inline]
    pub fn enter_async<K: KeyText>(
        &'static self,
        spec: fn() -> Spec,
        key: K,
        cost: impl Cost,
    ) -> Admission {
        let cost = cost.units();
        if let Ok(cost) = cost
            && self.decide_at_once::<K>(cost) == Verdict::Admitted
        {
            return Admission(Stage::Decided(None));
        }
        let begun = key.with_user(|user| self.begin(spec, user, cost));
        begun.unwrap_or_else(|error| Admission(Stage::Decided(Some(Err(error)))))
    }

    /// Admits a call whose future is built now and awaited later, if ever: the key is read now, and
    /// nothing is decided before the first poll.
    pub fn enter_deferred<K: KeyText>(
        &'static self,
        spec: fn() -> Spec,
        key: K,
        cost: impl Cost,
    ) -> Admission {
        let user = key.with_text(|user| user.map(str::to_owned));
        let cost = cost.units();
        Admission(Stage::Waiting(Box::pin(async move {
            let Bound {
                limiter, max_wait, ..
            } = self.bound(spec)?;
            acquire_async(limiter, user.as_deref(), cost?, *max_wait)
                .await
                .map(drop)
        })))
    }

    #[inline(never)]
    fn begin(
        &'static self,
        spec: fn() -> Spec,
        user: Option<Subject<'_>>,
        cost: Result<u64, Error>,
    ) -> Result<Admission, Error> {
        let bound = self.bound(spec)?;
        let Bound {
            limiter, max_wait, ..
        } = bound;
        let cost = cost?;
        match bound.admit_user(user, cost) {
            Verdict::Admitted => {
                limiter.told(user, Outcome::Admitted);
                Ok(Admission(Stage::Decided(None)))
            }
            Verdict::Denied(nanos) => Err(refusal(limiter, user, nanos)),
            Verdict::Unknown => with_text(user, |user| {
                Self::begin_slowly(limiter, user, cost, *max_wait)
            }),
        }
    }

    // Apart, so that an admitted call does not make room for all of it.
    #[inline(never)]
    fn begin_slowly(
        limiter: &'static Limiter,
        user: Option<&str>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Result<Admission, Error> {
        if !limiter.is_immediate() || Acquire::would_queue(limiter, user, cost, max_wait) {
            return Ok(Admission::wait(limiter, user, cost, max_wait, None));
        }
        let seen = limiter.queues().notifications();
        let first = limiter
            .handle(user, Operation::Take(cost))
            .and_then(|decision| Ok((shortcut(limiter, user, max_wait, &decision)?, decision)));
        let (done, decision) = match first {
            // Told of when it is over.
            Ok((None, decision)) => (None, decision),
            first => limiter.tell(user, first, |_| true)?,
        };
        Ok(match done {
            Some(_) => Admission(Stage::Decided(None)),
            None => Admission::wait(limiter, user, cost, max_wait, Some((decision, seen))),
        })
    }

    #[inline]
    fn bound(&'static self, spec: fn() -> Spec) -> Result<&'static Bound, Error> {
        match self.bound.get() {
            Some(Ok(bound)) => Ok(bound),
            _ => self.bind(spec),
        }
    }

    #[cold]
    #[inline(never)]
    fn bind(&'static self, spec: fn() -> Spec) -> Result<&'static Bound, Error> {
        let bound = self.bound.get_or_init(|| spec().bind().map(Bound::new));
        if let Ok(Bound {
            limiter, max_wait, ..
        }) = bound
            && *max_wait == MaxWait::None
            && let Some(bucket) = limiter.bucket()
        {
            let _ = self.bucket.set(bucket);
        }
        bound.as_ref().map_err(Error::clone)
    }
}

#[cold]
fn refusal(limiter: &Limiter, user: Option<Subject<'_>>, nanos: u64) -> Error {
    limiter.told(user, Outcome::Denied);
    with_text(user, |user| limiter.denied_for(user, nanos))
}

// Apart, so that an admitted call does not make room for all of it.
#[inline(never)]
fn acquire_slowly(
    limiter: &Limiter,
    user: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<(), Error> {
    acquire(limiter, user, cost, max_wait).map(drop)
}

/// The future of [`Site::enter_async`].
#[must_use = "futures do nothing unless awaited"]
pub struct Admission(Stage);

enum Stage {
    Decided(Option<Result<(), Error>>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>),
}

impl Admission {
    fn wait(
        limiter: &'static Limiter,
        user: Option<&str>,
        cost: u64,
        max_wait: MaxWait,
        first: Option<(Decision, u64)>,
    ) -> Self {
        let user = user.map(str::to_owned);
        Self(Stage::Waiting(Box::pin(async move {
            let user = user.as_deref();
            match first {
                Some((first, seen)) => {
                    let acquired = async {
                        Acquire::after(limiter, user, cost, max_wait, first, seen)?
                            .run()
                            .await
                    };
                    limiter.tell(user, acquired.await, |_| true)
                }
                None => acquire_async(limiter, user, cost, max_wait).await,
            }
            .map(drop)
        })))
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

/// Errors that can tell of a refused call.
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

/// Calls a closure once. A closure called where it is written may not return a borrow of what it
/// captured; one passed to `FnOnce` may.
pub fn once<R>(body: impl FnOnce() -> R) -> R {
    body()
}
