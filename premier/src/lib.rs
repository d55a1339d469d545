//! Attribute macros that make any function well-behaved under load.
//!
//! Put [`#[throttle]`](macro@throttle) on a sync or async function and a limit holds for it: in
//! this process out of the box, or in another store after one line in `main`.
//!
//! ```
//! use premier::{Error, throttle};
//!
//! /// Three calls in five seconds for each URL.
//! #[throttle(algo = "token_bucket", quota = 3, duration = 5, key = url)]
//! fn fetch(url: &str) -> Result<String, Error> {
//!     Ok(format!("the page at {url}"))
//! }
//!
//! for _ in 0..3 {
//!     assert!(fetch("/a").is_ok());
//! }
//! let refused = fetch("/a").unwrap_err();
//! assert!(refused.retry_after().is_some());
//! assert!(fetch("/b").is_ok());
//! ```
//!
//! # What happens to a call that is not admitted
//!
//! | the function returns | the caller gets |
//! | --- | --- |
//! | a type whose name ends in `Result` | `Err(premier::Error.into())`: its error implements `From<premier::Error>` |
//! | anything else, `T` | `Result<T, premier::Error>`: the attribute changes the signature |
//! | anything, with `on_reject = \|error\| value` | the value; the signature stays |
//!
//! ```
//! use premier::throttle;
//!
//! #[derive(Debug)]
//! enum AppError {
//!     Throttled(premier::Error),
//! }
//!
//! impl From<premier::Error> for AppError {
//!     fn from(error: premier::Error) -> Self {
//!         Self::Throttled(error)
//!     }
//! }
//!
//! #[throttle(rate = "1/min")]
//! fn fallible() -> Result<u32, AppError> {
//!     Ok(1)
//! }
//!
//! #[throttle(rate = "1/min")]
//! fn infallible() -> u32 {
//!     1
//! }
//!
//! #[throttle(rate = "1/min", on_reject = |_| 0)]
//! fn with_substitute() -> u32 {
//!     1
//! }
//!
//! assert!(matches!((fallible(), fallible()), (Ok(1), Err(AppError::Throttled(_)))));
//! assert!(matches!((infallible(), infallible()), (Ok(1), Err(premier::Error::QuotaExceeded { .. }))));
//! assert_eq!((with_substitute(), with_substitute()), (1, 0));
//! ```
//!
//! # Algorithms
//!
//! With q the quota, d the duration and T = d/q:
//!
//! | [`Algo`] | admits | good for | state |
//! | --- | --- | --- | --- |
//! | `fixed_window` (default) | q in a window that opens at the first call | cheap quotas; up to 2q around an edge | 2 numbers |
//! | `sliding_window` | q in the last d, the last window weighed by its overlap | smooth quotas at constant size | 3 numbers |
//! | `sliding_log` | q in any d, exactly; q ≤ 100,000 | few, expensive calls; log-in forms | one entry a call |
//! | `token_bucket`, `gcra` | bursts up to `burst`, one token more each T | paid APIs | 1 instant |
//! | `leaky_bucket` | one each T, up to `bucket_size` wait in a queue | calling others evenly | 1 instant |
//!
//! All arithmetic is on integers and exact: T is kept as a fraction, a denial tells the first
//! nanosecond at which the call would be admitted, and no rate drifts.
//!
//! # Arguments of `#[throttle]`
//!
//! | argument | meaning |
//! | --- | --- |
//! | `quota = 3, duration = 5` | units per duration: seconds as a number, or `"500ms"`, `"5s"`, `"1m"`, `"2h"`, `"1d"` |
//! | `rate = "3/5s"`, `"100/min"` | the same in one |
//! | `limits("5/s", "100/min")` | several, decided as one: all admit or nothing is taken |
//! | `algo = "token_bucket"` | default: the configured one, `fixed_window` out of the box |
//! | `burst = 10` | size of a token bucket, default the quota |
//! | `bucket_size = 10` | how many may wait in a leaky bucket, default the quota |
//! | `key = user.id`, `key = "{user}:{path}"` | a limit for each value: an expression or a format string over the arguments |
//! | `keymaker = \|user, _\| user.id`, `keymaker = path` | the same as a function of references to all arguments, `self` first |
//! | `cost = items.len()` | units this call takes, default 1; 0 asks without taking |
//! | `wait`, `wait = "2s"` | wait until admitted (at most so long), first come first served |
//! | `name = "search"` | the function's part of the key, else its path |
//! | `on_reject = \|error\| value` | what a refused call returns |
//! | `crate = ::path` | where premier is, if neither `premier` nor the name in `Cargo.toml` |
//!
//! Literals are checked when compiling. Other expressions are evaluated once, at the first call;
//! a bad value is then an [`Error::Config`].
//!
//! Attributes apply top-down, the first is outermost; a function may have several. An attribute
//! that was imported under another name (`use premier::throttle as limit`), or that stands in a
//! `cfg_attr`, is not seen by the others and ends up outermost. All instances of a generic
//! function share one limit, and methods of equal names of two types share none.
//!
//! A function that returns a future (`-> impl Future`, a boxed one, or one made by
//! `#[async_trait]`) is decided when that future is first polled.
//!
//! # Waiting
//!
//! ```
//! use premier::throttle;
//! use std::time::Instant;
//!
//! #[throttle(algo = "token_bucket", rate = "100/s", burst = 1, wait = "1s")]
//! fn paced() {}
//!
//! let start = Instant::now();
//! for _ in 0..4 {
//!     paced()?;
//! }
//! assert!(start.elapsed().as_millis() >= 30);
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! Those who wait for one key are served in the order in which they came, threads and tasks alike.
//! A waiter that is dropped has taken nothing. A wait that cannot succeed fails at once. Callers
//! that do not wait ([`Throttle::check`], or another function of the same name) may overtake.
//! How precisely a call is woken is up to the system's timer.
//!
//! # Without macros
//!
//! [`Throttle`] is the same as a value, with peek, refund and reset.
//!
//! # Testing code that is limited
//!
//! All time comes from the handler's [`clock`], sleeping included. With a
//! [`ManualClock`](clock::ManualClock) a test runs hours of it without waiting:
//!
//! ```
//! use premier::clock::ManualClock;
//! use premier::{Config, MemoryHandler, throttle};
//! use std::thread;
//! use std::time::Duration;
//!
//! #[throttle(rate = "1/h", wait)]
//! fn report() -> &'static str {
//!     "the hourly report"
//! }
//!
//! // Once in each test binary; `premier::clear` gives every test a fresh start.
//! let clock = ManualClock::new();
//! premier::config(MemoryHandler::builder().clock(clock.clone()).build())?;
//!
//! report()?;
//! let second = thread::spawn(report);
//! clock.wait_for_sleepers(1);
//! clock.advance(Duration::from_secs(3600));
//! assert_eq!(second.join().unwrap()?, "the hourly report");
//! # Ok::<(), premier::Error>(())
//! ```
//!
//! # Feature flags
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tokio` (default) | nothing yet: async functions wait under any executor |
//! | `redis` | `RedisHandler`: limits shared by a fleet |
//! | `tracing` | events when the store goes down and comes back |
//!
//! Without features: memory, sync, and async functions under any executor, woken by one timer
//! thread that starts at the first wait.

#[doc(inline)]
pub use premier_macros::{circuit_breaker, concurrency, retry, throttle, timeout};
#[doc(inline)]
pub use premier_runtime::{
    Algo, BoxFuture, Config, Decision, Error, Handler, Key, Limit, MemoryHandler,
    MemoryHandlerBuilder, OnBackendError, Operation, OutageCalls, Request, Reservation,
    RetryBudget, RetryEvent, Throttle, algorithms, clear, clear_async, clock, config, outage_calls,
    timeout_workers,
};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use premier_runtime::{RedisBuilder, RedisHandler, RedisStatus};
#[cfg(feature = "cache")]
#[doc(inline)]
pub use {premier_macros::cache, premier_runtime::cache};

/// What expansions call. Not part of the public interface: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use premier_runtime::__private::*;
}
