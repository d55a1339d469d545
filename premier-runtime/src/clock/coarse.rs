//! A clock that is cheap to read and lags behind the precise one.

use std::future::Future;
use std::pin::Pin;
#[cfg(all(feature = "tokio", any(target_os = "linux", target_os = "android")))]
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::time::{ClockId, clock_gettime};

#[cfg(all(feature = "tokio", any(target_os = "linux", target_os = "android")))]
use super::virtual_time::{self, Anchor};
use super::{Clock, SystemClock};

/// The system's monotonic clock as of the last kernel tick (`CLOCK_MONOTONIC_COARSE`).
///
/// A decision with this clock costs about three quarters of a decision with [`SystemClock`]. In
/// return the clock lags by up to one tick: 1 to 10 ms, depending on the kernel's `CONFIG_HZ`, and
/// more on a virtual machine whose processors were paused. It never runs ahead and never steps
/// back.
///
/// On systems other than Linux and Android it reads [`SystemClock`]. As [`SystemClock`] does, it follows
/// the paused time of a tokio runtime.
///
/// ```
/// use premier::clock::CoarseClock;
/// use premier::MemoryHandler;
///
/// premier::config(MemoryHandler::builder().clock(CoarseClock).build())?;
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # Accuracy
///
/// Every call is decided as if it had been made at the last tick. Measured in real time:
///
/// - an interval of length `w` admits at most as many units as the limit allows in `w + lag`. The
///   long-term rate is exact, and a limit whose period spans many ticks hardly differs;
/// - units that become free between two ticks are available from the next tick on. A caller that
///   retries after exactly `retry_after` may therefore be up to one tick early, and a waiting call
///   is admitted up to one tick late.
///
/// Leaky buckets use the precise clock, because their slots are shorter than a tick; so do retries,
/// timeouts, caches and circuit breakers. Decisions on Redis do not use this clock.
///
/// Proof of the bound: let L(t) be the reading at time t, with t − lag ≤ L(t) ≤ t. Calls between t
/// and t + w are decided at readings between L(t) and L(t + w), which are at most w + lag apart, and
/// the limit holds for every interval of readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

impl Clock for CoarseClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn now(&self) -> u64 {
        #[cfg(feature = "tokio")]
        if let Some(instant) = virtual_time::now() {
            static ANCHOR: LazyLock<Anchor> =
                LazyLock::new(|| Anchor::new(|| reading(ClockId::Monotonic)));
            return ANCHOR.reading(instant);
        }
        reading(ClockId::MonotonicCoarse)
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
    /// Estimates when the precise clock shows the moment at which this clock reaches `deadline`.
    ///
    /// The estimate ignores the lag, so it is never too late and up to one tick too early.
    fn precise(self, deadline: u64) -> u64 {
        match deadline {
            u64::MAX => deadline,
            deadline => (SystemClock.now()).saturating_add(deadline.saturating_sub(self.now())),
        }
    }
}

/// Reads a clock of the system that counts from the start of the machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn reading(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither part is negative, and the sum fits into a u64 for 580 years.
    super::system::ORIGIN + time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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
            // The sleep ended early by the lag: the coarse clock has not ticked yet.
            self.inner = SystemClock.sleep_until(CoarseClock.precise(self.deadline));
        }
        Poll::Ready(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_lags_and_never_steps_back() {
        let precise = || reading(ClockId::Monotonic);
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
