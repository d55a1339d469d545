//! Time, and sleeping, as a dependency.
//!
//! Every decision in memory and every wait asks the clock of its handler, so that a test can put
//! a [`ManualClock`] there and run hours of throttling in no time.

#[cfg(feature = "coarse-clock")]
mod coarse;
mod manual;
mod sleepers;
mod steady;
mod system;

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
pub(crate) use self::steady::SteadyClock;
pub use self::system::SystemClock;

/// A source of time that can also sleep.
///
/// Time is counted in nanoseconds from an origin of the clock's own choice. It should not step
/// back; if it does, a [`MemoryHandler`](crate::MemoryHandler) goes on as if no time had passed,
/// and a clock that knows of its step should wake its sleepers, who then set their alarms anew.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Nanoseconds since the clock's origin.
    fn now(&self) -> u64;

    /// Blocks the calling thread until `deadline`, or until it is unparked
    /// ([`Thread::unpark`](std::thread::Thread::unpark)). It may also return early for no reason,
    /// as [`std::thread::park_timeout`] may.
    fn park_until(&self, deadline: u64);

    /// Completes at `deadline`. Dropping the future ends the sleep.
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

/// `now` plus `duration`, or the end of time.
pub(crate) fn after(now: u64, duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).map_or(u64::MAX, |nanos| now.saturating_add(nanos))
}

/// Wakes the calling thread from [`Clock::park_until`].
pub(crate) fn waker_of_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
