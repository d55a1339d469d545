//! `#[timeout]` stops waiting for a call after a time.
//!
//! An async call is dropped at the deadline. A sync call cannot be stopped: it runs on a worker
//! thread, and at the deadline its caller returns while the thread runs on to the end of the call.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use super::call_site::CallSite;
use super::into_arg::LengthOfTime;
use super::site::{Instance, Policy, Site};
use super::spec::Spec;
use crate::clock::{Sleep, SteadyClock, after};
use crate::config::runtime::Runtime;
use crate::config::scope;
use crate::error::Error;
use crate::telemetry::Counted;
use crate::{clock, telemetry};

/// The static of one `#[timeout]`.
pub type TimeoutSite = Site<TimeoutPolicy>;

/// The arguments of one `#[timeout]`.
pub type TimeoutSpec = Spec<TimeoutArgs>;

/// The arguments of one `#[timeout]`. Expansions always set the length.
#[derive(Debug, Default)]
pub struct TimeoutArgs {
    after: Duration,
}

impl TimeoutSpec {
    /// `#[timeout(60)]`: how long a call may take.
    #[must_use]
    pub fn after(self, after: impl LengthOfTime) -> Self {
        let after = after.into_period().and_then(|after| {
            if after.is_zero() {
                return Err(Error::config("a timeout must be longer than zero"));
            }
            Ok(after)
        });
        self.set(after, |args, after| args.after = after)
    }
}

/// The timeout of one function.
#[derive(Debug)]
pub struct TimeoutPolicy {
    function: Arc<str>,
    after: Duration,
    clock: &'static SteadyClock,
}

impl Policy for TimeoutPolicy {
    const ATTRIBUTE: &'static str = "timeout";
    type Args = TimeoutArgs;

    fn bind(call_site: &CallSite, args: TimeoutArgs) -> Result<Self, Error> {
        Ok(Self {
            function: call_site.path().into(),
            after: args.after,
            clock: Runtime::global().clock(),
        })
    }

    fn on_bound(&'static self) {
        Counted::Timeouts.register(&self.function);
    }
}

impl TimeoutPolicy {
    fn deadline(&self) -> u64 {
        after(self.clock.now(), self.after)
    }

    /// Reports a call that has reached its deadline, and returns its error.
    fn timed_out(&self) -> Error {
        telemetry::timed_out(&self.function, self.after);
        Error::Timeout {
            function: Arc::clone(&self.function),
            after: self.after,
        }
    }

    /// Runs `call` on a new thread, which puts the result into `answer`.
    fn start_worker<R: Send + 'static>(
        &self,
        call: impl FnOnce() -> R + Send + 'static,
        answer: Arc<Answer<R>>,
    ) -> Result<(), Error> {
        let scope = scope::current();
        thread::Builder::new()
            .name(format!("premier-timeout {}", self.function))
            .spawn(move || {
                let _entered = scope::enter(scope);
                let result = panic::catch_unwind(AssertUnwindSafe(call));
                *answer.lock() = Some(result);
                answer.caller.wake_by_ref();
            })
            .map(drop)
            .map_err(|error| {
                Error::backend(
                    "the system",
                    format!("no worker thread could be started: {error}"),
                )
                .at(&self.function, None)
            })
    }
}

impl TimeoutSite {
    /// Runs `call` until the deadline.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the call takes too long; [`Error::Config`] if an argument is invalid.
    #[inline]
    pub async fn run_async<F: Future>(
        &'static self,
        instance: Instance<TimeoutArgs>,
        call: F,
    ) -> Result<F::Output, Error> {
        let policy = self.bound(instance)?;
        // Computed here, because the first poll may take long.
        let deadline = policy.deadline();
        let mut call = pin!(call);
        let mut sleep: Option<Sleep> = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = call.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(sleep.get_or_insert_with(|| policy.clock.sleep_until(deadline)))
                .poll(context)
                .map(|()| Err(policy.timed_out()))
        })
        .await
    }

    /// Runs `call` on a worker thread until the deadline. If the call panics before the deadline,
    /// the caller panics too.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the call takes too long; [`Error::Config`] if an argument is invalid;
    /// [`Error::Backend`] if the system cannot start a thread.
    pub fn run<R: Send + 'static>(
        &'static self,
        instance: Instance<TimeoutArgs>,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        let policy = self.bound(instance)?;
        let deadline = policy.deadline();
        let answer = Arc::new(Answer {
            result: Mutex::new(None),
            caller: clock::waker_of_this_thread(),
            _worker: WorkerCount::new(),
        });
        policy.start_worker(call, Arc::clone(&answer))?;
        loop {
            // Read before the result, so that a result which arrives in between is not lost.
            let is_late = policy.clock.now() >= deadline;
            if let Some(result) = answer.take() {
                return result.map_err(|panic| panic::resume_unwind(panic));
            }
            if is_late {
                return Err(policy.timed_out());
            }
            policy.clock.park_until(deadline);
        }
    }
}

/// Where the worker thread puts the result of the call.
struct Answer<R> {
    result: Mutex<Option<thread::Result<R>>>,
    caller: Waker,
    /// Counts the worker until the thread has ended and the caller has returned.
    _worker: WorkerCount,
}

impl<R> Answer<R> {
    fn lock(&self) -> MutexGuard<'_, Option<thread::Result<R>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<thread::Result<R>> {
        self.lock().take()
    }
}

static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Returns how many worker threads of `#[timeout]` on sync functions are running, including those
/// whose callers have returned at the deadline.
///
/// ```
/// assert_eq!(premier::timeout_workers(), 0);
/// ```
#[must_use]
pub fn timeout_workers() -> usize {
    WORKERS.load(Ordering::Relaxed)
}

/// One worker in [`timeout_workers`], until it is dropped.
struct WorkerCount(());

impl WorkerCount {
    fn new() -> Self {
        WORKERS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for WorkerCount {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Arguments that can be sent to a worker thread: all types that are `Send + 'static`.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot go to a worker thread",
    label = "is not `Send + 'static`",
    note = "a sync function with #[timeout] runs on a worker thread: its arguments must be `Send + 'static`; or make the function async"
)]
pub trait ArgumentOfWorker {
    /// Compiles only if the argument can be sent to a worker thread.
    fn for_worker(&self) {}
}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> ArgumentOfWorker for T {}

/// Outputs that a worker thread can send back: all types that are `Send + 'static`.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot come back from a worker thread",
    label = "is not `Send + 'static`",
    note = "a sync function with #[timeout] runs on a worker thread: what it returns must be `Send + 'static`; or make the function async"
)]
pub trait OutputOfWorker: Sized {
    /// Returns the output.
    #[must_use]
    fn send_back(self) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> OutputOfWorker for T {}
