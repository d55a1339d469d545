//! Clocks: where limits read the time and how callers sleep.
//!
//! Decisions in memory and all waits use the clock of their handler. A test that passes a
//! [`ManualClock`] runs hours of throttling without waiting.

#[cfg(feature = "coarse-clock")]
mod coarse;
mod manual;
mod sleepers;
mod steady;
mod system;
#[cfg(feature = "tokio")]
mod virtual_time;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

#[cfg(feature = "coarse-clock")]
pub use self::coarse::CoarseClock;
pub use self::manual::ManualClock;
pub(crate) use self::steady::{Sleep, SteadyClock};
pub use self::system::SystemClock;
#[cfg(feature = "redis")]
pub(crate) use self::system::{real_now, real_sleep_until, wake_at};

/// A source of time that can also sleep.
///
/// Times are nanoseconds since an origin that the clock chooses. A clock should not step back. If
/// it does, a [`MemoryHandler`](crate::MemoryHandler) treats the step as no time passed, and the
/// clock should wake its sleepers so that they compute their remaining time again.
///
/// A deadline of [`u64::MAX`] means no deadline: the sleeper is woken by another caller.
///
/// ```
/// use premier::MemoryHandler;
/// use premier::clock::{Clock, SystemClock};
/// use std::future::Future;
/// use std::pin::Pin;
///
/// /// The system's clock, 60 seconds ahead.
/// #[derive(Debug)]
/// struct Ahead;
///
/// const MINUTE: u64 = 60_000_000_000;
///
/// impl Clock for Ahead {
///     fn now(&self) -> u64 {
///         SystemClock.now() + MINUTE
///     }
///
///     fn park_until(&self, deadline: u64) {
///         SystemClock.park_until(deadline.saturating_sub(MINUTE));
///     }
///
///     fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         SystemClock.sleep_until(deadline.saturating_sub(MINUTE))
///     }
/// }
///
/// let handler = MemoryHandler::builder().clock(Ahead).build();
/// # let _ = handler;
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the nanoseconds since the clock's origin.
    fn now(&self) -> u64;

    /// Blocks the calling thread until `deadline`, in nanoseconds since the clock's origin, or until
    /// the thread is unparked with [`Thread::unpark`](std::thread::Thread::unpark).
    ///
    /// Like [`std::thread::park_timeout`], it may also return early for no reason.
    fn park_until(&self, deadline: u64);

    /// Returns a future that completes at `deadline`, in nanoseconds since the clock's origin.
    /// Dropping the future ends the sleep.
    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Blocks the calling thread for `duration`.
    fn sleep(&self, duration: Duration) {
        let deadline = after(self.now(), duration);
        while self.now() < deadline {
            self.park_until(deadline);
        }
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> u64 {
        (**self).now()
    }

    fn park_until(&self, deadline: u64) {
        (**self).park_until(deadline);
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        (**self).sleep_until(deadline)
    }
}

/// `now` plus `duration` in nanoseconds, or `u64::MAX` on overflow.
pub(crate) fn after(now: u64, duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).map_or(u64::MAX, |nanos| now.saturating_add(nanos))
}

/// Returns a waker that ends [`Clock::park_until`] on the calling thread.
pub(crate) fn waker_of_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
