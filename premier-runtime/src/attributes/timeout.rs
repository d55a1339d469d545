//! An end to waiting for a call.
//!
//! An async call is dropped at the deadline. A sync one cannot be stopped: it runs on a worker
//! thread, the caller is released at the deadline and the thread goes on to its end, counted.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::attributes::call_site::{CallSite, blame};
use crate::attributes::into_arg::IntoPeriod;
use crate::attributes::spec::note;
use crate::clock::after;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::{clock, telemetry};

/// What one `#[timeout]` says, as values.
#[derive(Debug)]
pub struct TimeoutSpec {
    call_site: CallSite,
    after: Duration,
    problem: Option<Error>,
}

impl TimeoutSpec {
    /// For the function at `call_site`.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            after: Duration::MAX,
            problem: None,
        }
    }

    /// `#[timeout(60)]`
    #[must_use]
    pub fn after(mut self, after: impl IntoPeriod) -> Self {
        let after = after.into_period().and_then(|after| {
            if after.is_zero() {
                return Err(Error::config("a timeout must be longer than zero"));
            }
            Ok(after)
        });
        if let Some(after) = note(&mut self.problem, after) {
            self.after = after;
        }
        self
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    fn bound(self) -> Result<Bound, Error> {
        let function = self.call_site.path();
        match self.problem {
            None => Ok(Bound {
                function: function.into(),
                after: self.after,
            }),
            Some(problem) => Err(blame("timeout", &function, problem)),
        }
    }
}

#[derive(Debug)]
struct Bound {
    function: Arc<str>,
    after: Duration,
}

impl Bound {
    fn error(&self) -> Error {
        telemetry::timed_out(&self.function, self.after);
        Error::Timeout {
            function: Arc::clone(&self.function),
            after: self.after,
        }
    }
}

/// The static of one `#[timeout]`.
#[derive(Debug, Default)]
pub struct TimeoutSite {
    bound: OnceLock<Result<Bound, Error>>,
}

impl TimeoutSite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    fn bound(&'static self, spec: fn() -> TimeoutSpec) -> Result<&'static Bound, Error> {
        self.bound
            .get_or_init(|| spec().bound())
            .as_ref()
            .map_err(Error::clone)
    }

    /// Runs `call` until the deadline.
    ///
    /// # Errors
    /// [`Error::Timeout`], and [`Error::Config`] for a bad value.
    #[inline]
    pub async fn run_async<F: Future>(
        &'static self,
        spec: fn() -> TimeoutSpec,
        call: F,
    ) -> Result<F::Output, Error> {
        let bound = self.bound(spec)?;
        let clock = Runtime::global().clock();
        // Before the first poll, which may take its time.
        let deadline = after(clock.now(), bound.after);
        let mut call = pin!(call);
        let mut sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = call.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let sleep = sleep.get_or_insert_with(|| clock.sleep_until(deadline));
            match sleep.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(bound.error())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Runs `call` on a worker thread. A panic of the call goes on in the caller, if it still
    /// waits.
    ///
    /// # Errors
    /// [`Error::Timeout`], and [`Error::Config`] for a bad value.
    pub fn run<R: Send + 'static>(
        &'static self,
        spec: fn() -> TimeoutSpec,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        let bound = self.bound(spec)?;
        let clock = Runtime::global().clock();
        let deadline = after(clock.now(), bound.after);
        let answer = Arc::new(Answer {
            outcome: Mutex::new(None),
            caller: clock::waker_of_this_thread(),
            _worker: Worker::count(),
        });
        start(bound, call, Arc::clone(&answer))?;
        loop {
            if let Some(outcome) = answer.take() {
                return outcome.map_err(|panicked| panic::resume_unwind(panicked));
            }
            if clock.now() >= deadline {
                // It may have come in since.
                return match answer.take() {
                    Some(outcome) => outcome.map_err(|panicked| panic::resume_unwind(panicked)),
                    None => Err(bound.error()),
                };
            }
            clock.park_until(deadline);
        }
    }
}

struct Answer<R> {
    outcome: Mutex<Option<thread::Result<R>>>,
    caller: Waker,
    /// Counted until the thread has ended and the caller has its answer or has gone.
    _worker: Worker,
}

impl<R> Answer<R> {
    fn take(&self) -> Option<thread::Result<R>> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// How many worker threads of `#[timeout]` on sync functions run now, those included whose callers
/// have given up.
///
/// ```
/// assert_eq!(premier::timeout_workers(), 0);
/// ```
#[must_use]
pub fn timeout_workers() -> usize {
    WORKERS.load(Ordering::Relaxed)
}

/// Counts a worker as long as it lives.
struct Worker;

impl Worker {
    fn count() -> Self {
        WORKERS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start<R: Send + 'static>(
    bound: &'static Bound,
    call: impl FnOnce() -> R + Send + 'static,
    answer: Arc<Answer<R>>,
) -> Result<(), Error> {
    thread::Builder::new()
        .name(format!("premier-timeout {}", bound.function))
        .spawn(move || {
            let outcome = panic::catch_unwind(AssertUnwindSafe(call));
            *answer
                .outcome
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            answer.caller.wake_by_ref();
        })
        .map(drop)
        .map_err(|error| {
            Error::backend(
                "the system",
                format!("no worker thread could be started: {error}"),
            )
            .at(&bound.function, None)
        })
}

/// Arguments that can go to a worker thread.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot go to a worker thread",
    label = "is not `Send + 'static`",
    note = "a sync function with #[timeout] runs on a worker thread: its arguments must be `Send + 'static`; or make the function async"
)]
pub trait ForWorker {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> ForWorker for T {}

/// Tells of an argument that cannot go to a worker thread.
pub fn for_worker<T: ForWorker>(_: &T) {}
