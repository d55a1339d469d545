//! At most so many calls at a time: a bulkhead, so that one slow dependency does not take every
//! thread and every connection with it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::attributes::call_site::{CallSite, blame};
use crate::attributes::into_arg::{IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::clock::after;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::wait_queue::{WaitQueue, Waiter};

/// What one `#[concurrency]` says, as values.
#[derive(Debug)]
pub struct ConcurrencySpec {
    call_site: CallSite,
    limit: u64,
    max_wait: MaxWait,
    problem: Option<Error>,
}

impl ConcurrencySpec {
    /// For the function at `call_site`.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            limit: 1,
            max_wait: MaxWait::None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `limit = …`
    #[must_use]
    pub fn limit(mut self, limit: impl IntoUnits) -> Self {
        let limit = limit.into_units("limit").and_then(|limit| match limit {
            0 => Err(Error::config(
                "limit must be at least 1: it is how many calls run at a time",
            )),
            limit => Ok(limit),
        });
        if let Some(limit) = note(&mut self.problem, limit) {
            self.limit = limit;
        }
        self
    }

    /// `wait`
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.max_wait = MaxWait::Unbounded;
        self
    }

    /// `wait = …`
    #[must_use]
    pub fn wait_at_most(mut self, longest: impl IntoPeriod) -> Self {
        if let Some(longest) = note(&mut self.problem, longest.into_period()) {
            self.max_wait = MaxWait::AtMost(longest);
        }
        self
    }

    fn bulkhead(self) -> Result<Bulkhead, Error> {
        let function = self.call_site.path();
        match self.problem {
            None => Ok(Bulkhead {
                limit: self.limit,
                max_wait: self.max_wait,
                running: Mutex::new(0),
                queue: WaitQueue::default(),
                function: function.into(),
            }),
            Some(problem) => Err(blame("concurrency", &function, problem)),
        }
    }
}

type Place = Waiter<&'static WaitQueue>;

#[derive(Debug)]
struct Bulkhead {
    function: Arc<str>,
    limit: u64,
    max_wait: MaxWait,
    running: Mutex<u64>,
    queue: WaitQueue,
}

impl Bulkhead {
    fn running(&self) -> MutexGuard<'_, u64> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit, if there is one.
    fn take(&'static self) -> Option<Permit> {
        let mut running = self.running();
        (*running < self.limit).then(|| {
            *running += 1;
            Permit { bulkhead: self }
        })
    }

    /// A permit at once, or a place in the queue and until when to stand there.
    fn begin(&'static self) -> Result<Result<Permit, (Place, u64)>, Error> {
        if self.queue.is_empty()
            && let Some(permit) = self.take()
        {
            return Ok(Ok(permit));
        }
        let deadline = match self.max_wait {
            MaxWait::None => return Err(self.refusal()),
            MaxWait::AtMost(longest) => after(Runtime::global().clock().now(), longest),
            MaxWait::Unbounded => u64::MAX,
        };
        Ok(Err((Waiter::join(&self.queue, 1, 0), deadline)))
    }

    fn refusal(&self) -> Error {
        Error::ConcurrencyExceeded {
            function: Arc::clone(&self.function),
            limit: self.limit,
        }
    }
}

/// The static of one `#[concurrency]`.
#[derive(Debug, Default)]
pub struct ConcurrencySite {
    bulkhead: OnceLock<Result<Bulkhead, Error>>,
}

impl ConcurrencySite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bulkhead: OnceLock::new(),
        }
    }

    fn bulkhead(&'static self, spec: fn() -> ConcurrencySpec) -> Result<&'static Bulkhead, Error> {
        self.bulkhead
            .get_or_init(|| spec().bulkhead())
            .as_ref()
            .map_err(Error::clone)
    }

    /// Lets a call run, waiting on the thread where the attribute says so.
    ///
    /// # Errors
    /// [`Error::ConcurrencyExceeded`], and [`Error::Config`] for a bad value.
    pub fn enter(&'static self, spec: fn() -> ConcurrencySpec) -> Result<Permit, Error> {
        let bulkhead = self.bulkhead(spec)?;
        match bulkhead.begin()? {
            Ok(permit) => Ok(permit),
            Err((place, deadline)) => place
                .turn(Runtime::global().clock(), deadline, || bulkhead.take())
                .ok_or_else(|| bulkhead.refusal()),
        }
    }

    /// Lets a call run, awaiting where the attribute says so.
    ///
    /// # Errors
    /// [`Error::ConcurrencyExceeded`], and [`Error::Config`] for a bad value.
    pub async fn enter_async(
        &'static self,
        spec: fn() -> ConcurrencySpec,
    ) -> Result<Permit, Error> {
        let bulkhead = self.bulkhead(spec)?;
        match bulkhead.begin()? {
            Ok(permit) => Ok(permit),
            Err((place, deadline)) => place
                .turn_async(Runtime::global().clock(), deadline, || bulkhead.take())
                .await
                .ok_or_else(|| bulkhead.refusal()),
        }
    }
}

/// A call that runs.
#[derive(Debug)]
#[must_use = "the permit ends when it is dropped"]
pub struct Permit {
    bulkhead: &'static Bulkhead,
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.bulkhead.running() -= 1;
        self.bulkhead.queue.wake_head();
    }
}
