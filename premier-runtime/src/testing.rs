//! Isolated tests of code with limits (feature `testing`).
//!
//! All functions with attributes, and all [`Throttle`](crate::Throttle)s without a configuration of their own,
//! use the configuration of the process: one clock, one state. Within a [`Scope`] they use another one, with
//! fresh state, so that tests run in parallel, each with its own [`ManualClock`](crate::clock::ManualClock).
//! Tests only: what a scope holds is never freed.
//!
//! ```
//! use premier::clock::ManualClock;
//! use premier::{MemoryHandler, assert_throttled, testing, throttle};
//! use std::time::Duration;
//!
//! #[throttle(rate = "1/h")]
//! fn send() -> Result<(), premier::Error> {
//!     Ok(())
//! }
//!
//! for _ in 0..2 {
//!     let clock = ManualClock::new();
//!     let memory = MemoryHandler::builder().clock(clock.clone()).build();
//!     testing::scope(memory, || {
//!         assert!(send().is_ok());
//!         assert_throttled!(send());
//!         clock.advance(Duration::from_secs(3_600));
//!         assert!(send().is_ok());
//!     });
//! }
//! ```

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use crate::config::builder::Config;
use crate::config::fault::MakeError;
use crate::config::runtime::Runtime;
use crate::config::scope;
use crate::error::Error;
use crate::limit::decision::Decision;

/// A configuration with fresh state, in place of the process's.
///
/// A thread has it within [`Scope::run`], a task within [`Scope::run_async`]. Threads and
/// tasks that these start are outside of it: pass them a copy of [`Scope::current`]. The worker of a sync
/// `#[timeout]` is inside.
#[derive(Clone, Copy, Debug)]
pub struct Scope(&'static scope::Scope);

/// How many calls a limit has decided about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decisions {
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were denied, or about which the store could not decide.
    pub denied: u64,
}

/// Runs `test` with a configuration and state of its own.
///
/// A handler is a configuration, as for [`premier::config`](crate::config).
pub fn scope<R>(config: impl Into<Config>, test: impl FnOnce() -> R) -> R {
    Scope::new(config).run(test)
}

/// Awaits `test` with a configuration and state of its own.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use premier::{MemoryHandler, assert_throttled, testing, throttle};
///
/// #[throttle(rate = "1/h")]
/// async fn send() -> Result<(), premier::Error> {
///     Ok(())
/// }
///
/// testing::scope_async(MemoryHandler::new(), async {
///     assert!(send().await.is_ok());
///     assert_throttled!(send().await);
/// })
/// .await;
/// # }
/// ```
pub async fn scope_async<F: Future>(config: impl Into<Config>, test: F) -> F::Output {
    Scope::new(config).run_async(test).await
}

impl Scope {
    /// A scope with fresh state.
    #[must_use]
    pub fn new(config: impl Into<Config>) -> Self {
        Self(Runtime::in_scope(config.into()))
    }

    /// The scope of this thread or task.
    #[must_use]
    pub fn current() -> Option<Self> {
        scope::current().map(Self)
    }

    /// Runs `test` on this thread within the scope.
    pub fn run<R>(self, test: impl FnOnce() -> R) -> R {
        let _entered = scope::enter(Some(self.0));
        test()
    }

    /// Awaits `test` within the scope.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use premier::MemoryHandler;
    /// use premier::testing::Scope;
    ///
    /// let scope = Scope::new(MemoryHandler::new());
    /// let task = tokio::spawn(scope.run_async(async { Scope::current().is_some() }));
    /// assert!(task.await.unwrap());
    /// # }
    /// ```
    pub fn run_async<F: Future>(self, test: F) -> impl Future<Output = F::Output> + use<F> {
        let mut test = Box::pin(test);
        std::future::poll_fn(move |context| self.run(|| test.as_mut().poll(context)))
    }

    /// Makes the limits of this name deny all calls, with a `retry_after` of a second.
    ///
    /// The name is the limit's, or the last part of its path: `send` for `app::mail::send`.
    pub fn refuse(self, name: &str) {
        self.0.refuse(name, true);
    }

    /// Reverts [`Scope::refuse`]: the limits of this name decide again.
    pub fn decide(self, name: &str) {
        self.0.refuse(name, false);
    }

    /// Delays the body of each call of a function by `duration`, inside all of its attributes.
    ///
    /// The call sleeps by the clock of the scope. Each attempt of a retry is slow. [`Duration::ZERO`] ends
    /// the delay. The name is the function's, or the last part of its path; `name = "…"` of an attribute does not
    /// change it.
    /// The function has to have one of premier's attributes.
    ///
    /// ```
    /// use premier::testing::Scope;
    /// use premier::{Error, MemoryHandler, timeout};
    /// use std::time::Duration;
    ///
    /// #[timeout("10ms")]
    /// fn page() -> Result<u32, Error> {
    ///     Ok(1)
    /// }
    ///
    /// let scope = Scope::new(MemoryHandler::new());
    /// scope.slow("page", Duration::from_millis(200));
    /// assert!(scope.run(page).unwrap_err().is_timeout());
    /// scope.recover("page");
    /// assert_eq!(scope.run(page)?, 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn slow(self, name: &str, duration: Duration) {
        self.0.slow(name, duration);
    }

    /// Makes the next `calls` calls of a function fail with an error of the test, instead of running the body,
    /// inside all of its attributes.
    ///
    /// Each attempt of a retry is a call. `error` makes an error of the function's own type: that of its
    /// `Result`, or [`Error`] where the attributes put its output into a `Result`. It replaces an earlier
    /// `fail`; [`u64::MAX`] makes all calls fail. The name is as for [`Scope::slow`], and a
    /// call may be slow before it fails.
    ///
    /// # Functions without such an error
    /// A call that is to fail panics, as if its body did, where there is no error that a test can make:
    ///
    /// - The output is no `Result`. Such a body can do nothing but return a value or panic.
    /// - The type of the error has a lifetime, a type parameter, `Self` or `impl`. Such an error may borrow from
    ///   the arguments of a call, and a test makes errors without knowing them. To test the attributes of
    ///   such a function, let a function that its body calls fail.
    ///
    /// [`Scope::refuse`] works for every function that has a limit: a denied call returns what it returns in
    /// production, which is the value of `on_reject`, or an [`Error`] as a part of its output.
    ///
    /// ```
    /// use premier::testing::Scope;
    /// use premier::{MemoryHandler, retry, throttle};
    ///
    /// #[derive(Debug, PartialEq)]
    /// enum SendError<'a> {
    ///     NoAddress(&'a str),
    ///     Network,
    /// }
    ///
    /// // Part of every attempt to send, so a test that lets it fail lets the attempt fail.
    /// #[retry(max = 1)]
    /// fn connect() -> Result<(), std::io::Error> {
    ///     Ok(())
    /// }
    ///
    /// #[retry(max = 3, base = 0)]
    /// fn send(to: &str) -> Result<(), SendError<'_>> {
    ///     connect().map_err(|_| SendError::Network)?;
    ///     if to.contains('@') { Ok(()) } else { Err(SendError::NoAddress(to)) }
    /// }
    ///
    /// #[throttle(rate = "1/s", on_reject = |_| 0)]
    /// fn unread() -> u32 {
    ///     7
    /// }
    ///
    /// let scope = Scope::new(MemoryHandler::new());
    /// scope.fail("connect", 3, || std::io::Error::other("down"));
    /// assert_eq!(scope.run(|| send("a@b")), Err(SendError::Network));
    /// assert_eq!(scope.run(|| send("a@b")), Ok(()));
    /// scope.refuse("unread");
    /// assert_eq!(scope.run(unread), 0);
    /// ```
    ///
    /// # Panics
    /// The call panics if `error` makes another type than the function's error, and where the function has no error
    /// that a test can make.
    ///
    /// ```
    /// use premier::testing::Scope;
    /// use premier::{MemoryHandler, retry};
    /// use std::io;
    ///
    /// #[retry(max = 3, base = 0)]
    /// fn page() -> io::Result<u32> {
    ///     Ok(1)
    /// }
    ///
    /// let scope = Scope::new(MemoryHandler::new());
    /// scope.fail("page", 2, || io::Error::other("down"));
    /// assert_eq!(scope.run(page)?, 1);
    /// scope.fail("page", 3, || io::Error::other("down"));
    /// assert_eq!(scope.run(page).unwrap_err().to_string(), "down");
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn fail<E: 'static>(
        self,
        name: &str,
        calls: u64,
        error: impl Fn() -> E + Send + Sync + 'static,
    ) {
        self.0.fail(name, calls, MakeError::new(error));
    }

    /// Reverts [`Scope::slow`] and [`Scope::fail`] for the functions of this name.
    pub fn recover(self, name: &str) {
        self.0.recover(name);
    }

    /// Returns how many calls the limits of this name have decided about.
    #[must_use]
    pub fn decisions(self, name: &str) -> Decisions {
        let [denied, admitted] = self.0.counts(name);
        Decisions { admitted, denied }
    }
}

/// Panics unless a limit has denied the call: the expression is a [`Decision`](crate::Decision) or a `Result`
/// whose error is one of premier's or has one among its sources.
///
/// ```
/// use premier::{Limit, Throttle, assert_throttled};
/// use std::time::Duration;
///
/// let login = Throttle::new("login", Limit::fixed_window(1, Duration::from_secs(60)));
/// assert!(login.acquire("alice").is_ok());
/// assert_throttled!(login.acquire("alice"));
/// # Ok::<(), premier::Error>(())
/// ```
#[macro_export]
macro_rules! assert_throttled {
    ($call:expr) => {
        ::core::assert!(
            $crate::testing::Throttled::is_throttled(&$call),
            "no limit has denied {}",
            ::core::stringify!($call)
        )
    };
}

/// A value that [`assert_throttled!`](crate::assert_throttled) accepts.
pub trait Throttled {
    /// Whether a limit has denied the call.
    fn is_throttled(&self) -> bool;
}

impl<T, E: StdError + 'static> Throttled for Result<T, E> {
    fn is_throttled(&self) -> bool {
        let mut next: Option<&(dyn StdError + 'static)> = match self {
            Ok(_) => None,
            Err(error) => Some(error),
        };
        while let Some(error) = next {
            if let Some(Error::QuotaExceeded { .. } | Error::BucketFull { .. }) =
                error.downcast_ref()
            {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl Throttled for Decision {
    fn is_throttled(&self) -> bool {
        !self.allowed
    }
}
