//! A clock that is read fast and is late.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Clock, SystemClock};

/// The system's monotonic clock as of its last tick: `CLOCK_MONOTONIC_COARSE`. Limits that are
/// decided by it cost about three quarters of what they do by [`SystemClock`]. It is late by up to
/// a tick, which is 1 to 10 ms (the kernel's `CONFIG_HZ`), and by more on a virtual machine that was
/// kept from its processors; never early, and it never steps back.
///
/// ```
/// use premier::clock::CoarseClock;
/// use premier::MemoryHandler;
///
/// premier::config(MemoryHandler::builder().clock(CoarseClock).build())?;
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # What it costs
///
/// A limit is exact by this clock: a call is decided as it would have been at the last tick. By the
/// true time that means:
///
/// - any stretch of time `w` admits at most what a stretch of `w` and the lag may. Over long times
///   the rate is kept exactly, and a limit whose period is many ticks hardly differs;
/// - what becomes free between two ticks becomes free at the next: whoever comes back after exactly
///   its `retry_after` may be up to a tick too early, and calls that wait are admitted up to a tick
///   late.
///
/// Leaky buckets, whose slots pass one by one, still go by the precise clock, as do retries,
/// timeouts, caches and breakers. With Redis it changes nothing. On systems other than Linux and
/// Android it is [`SystemClock`].
///
/// Why the bound holds: let L(t) be what is read at t, with t − lag ≤ L(t) ≤ t. Calls between t and
/// t + w are decided at times from L(t) to L(t + w), which are at most w + lag apart, and between
/// those the limit is what it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

impl Clock for CoarseClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn now(&self) -> u64 {
        super::system::ORIGIN + last_tick()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn now(&self) -> u64 {
        SystemClock.now()
    }

    fn park_until(&self, deadline: u64) {
        SystemClock.park_until(self.precise(deadline));
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Sleep {
            deadline,
            inner: SystemClock.sleep_until(self.precise(deadline)),
        })
    }
}

impl CoarseClock {
    /// About when this clock will show `deadline`, by the precise one: not later, but for its lag.
    fn precise(self, deadline: u64) -> u64 {
        match deadline {
            u64::MAX => deadline,
            deadline => (SystemClock.now()).saturating_add(deadline.saturating_sub(self.now())),
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE` since the machine has started.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn last_tick() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::MonotonicCoarse);
    // Neither is negative, and the sum fits for 580 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Sleep {
    deadline: u64,
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        while CoarseClock.now() < self.deadline {
            ready!(self.inner.as_mut().poll(context));
            // The tick is yet to come.
            self.inner = SystemClock.sleep_until(CoarseClock.precise(self.deadline));
        }
        Poll::Ready(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;
    use crate::clock::system::ORIGIN;

    #[test]
    fn it_is_late_and_never_steps_back() {
        let precise = || {
            let time = clock_gettime(ClockId::Monotonic);
            ORIGIN + time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        };
        let (mut before, mut ticks) = (CoarseClock.now(), 0);
        while ticks < 3 {
            let now = CoarseClock.now();
            assert!(now <= precise());
            assert!(before <= now);
            ticks += u32::from(now > before);
            before = now;
        }
    }
}
