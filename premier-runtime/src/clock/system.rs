//! The machine's monotonic clock, and the thread that wakes async sleepers.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::Clock;
use super::sleepers::{SleeperId, Sleepers};
#[cfg(feature = "tokio")]
use super::virtual_time::{self, Anchor, RuntimeTimer, park};
use crate::sync::lock_std;

/// The machine's monotonic clock, which every handler uses by default.
///
/// It reads the processor's time-stamp counter where the operating system reports the counter as
/// reliable, and the system's monotonic clock elsewhere (see [`quanta`](https://docs.rs/quanta)).
/// The two differ by a few parts per million. If the counter of one core is behind that of another,
/// limits clamp instants that lie in the future, so an error lasts no longer than the difference.
///
/// Async sleeps are woken by one timer thread, which the first async sleep starts. It is as precise
/// as the system's timer, but wakes tasks no more often than every millisecond, and works under every
/// executor, including a tokio runtime without a timer.
///
/// With the feature `tokio`, readings and async sleeps in a tokio runtime follow its time if a test has
/// paused it (`tokio::time::pause`, `start_paused`), and threads that are blocked wait in real time.
///
/// ```
/// use premier::clock::{Clock, SystemClock};
/// use std::time::Duration;
///
/// let before = SystemClock.now();
/// SystemClock.sleep(Duration::from_millis(2));
/// assert!(SystemClock.now() - before >= 2_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The reading when the process starts. It is larger than the longest period in nanoseconds, so that
/// subtracting a period never underflows.
pub(super) const ORIGIN: u64 = 1 << 56;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> u64 {
        Counter::get().now()
    }

    fn park_until(&self, deadline: u64) {
        match deadline {
            u64::MAX => park(None),
            deadline => {
                let left = deadline.saturating_sub(self.now());
                if left > 0 {
                    park(Some(Duration::from_nanos(left)));
                }
            }
        }
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(TimerSleep {
            deadline,
            sleeper: None,
            #[cfg(feature = "tokio")]
            runtime_timer: RuntimeTimer::default(),
        })
    }
}

/// Parks the thread, for at most `longest`.
#[cfg(not(feature = "tokio"))]
fn park(longest: Option<Duration>) {
    match longest {
        Some(longest) => thread::park_timeout(longest),
        None => thread::park(),
    }
}

/// Converts readings of quanta's counter to nanoseconds with one multiplication.
#[derive(Debug)]
pub(crate) struct Counter {
    clock: quanta::Clock,
    start: u64,
    /// The counter's reading at time 0, wrapped around when it is negative.
    ticks_at_zero: u64,
    /// Nanoseconds per tick times 2^64; 0 when a tick is a nanosecond or longer, which this
    /// representation cannot hold.
    nanos_per_tick: u64,
}

impl Counter {
    /// Returns the process's counter.
    #[inline]
    pub(super) fn get() -> &'static Self {
        static COUNTER: LazyLock<Counter> = LazyLock::new(Counter::new);
        &COUNTER
    }

    fn new() -> Self {
        // Several minutes of ticks, so that rounding to whole nanoseconds is negligible compared to
        // the error of the clock.
        const SAMPLE_TICKS: u64 = 1 << 40;
        let clock = quanta::Clock::new();
        let (start, nanos) = (clock.raw(), clock.delta_as_nanos(0, SAMPLE_TICKS));
        let nanos_per_tick = u64::try_from(u128::from(nanos) << 64 >> 40).unwrap_or(0);
        let origin = (u128::from(ORIGIN) << 64).checked_div(u128::from(nanos_per_tick));
        let (nanos_per_tick, origin) = match origin.map(u64::try_from) {
            Some(Ok(origin)) => (nanos_per_tick, origin),
            _ => (0, 0),
        };
        Self {
            clock,
            start,
            ticks_at_zero: start.wrapping_sub(origin),
            nanos_per_tick,
        }
    }

    /// Nanoseconds since time 0, which is [`ORIGIN`] before the process started. In a tokio runtime
    /// whose time is virtual, the reading at the runtime's instant.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        #[cfg(feature = "tokio")]
        if let Some(instant) = virtual_time::now() {
            static ANCHOR: LazyLock<Anchor> =
                LazyLock::new(|| Anchor::new(|| Counter::get().real_now()));
            return ANCHOR.reading(instant);
        }
        self.real_now()
    }

    #[inline]
    fn real_now(&self) -> u64 {
        let raw = self.clock.raw();
        if self.nanos_per_tick == 0 {
            return self.now_by_quanta(raw);
        }
        // One multiplication; quanta's conversion also shifts by a variable amount. The reading of a
        // core whose counter is behind `start` is a time before `ORIGIN`.
        let ticks = raw.wrapping_sub(self.ticks_at_zero);
        ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> 64) as u64
    }

    #[cold]
    #[inline(never)]
    fn now_by_quanta(&self, raw: u64) -> u64 {
        ORIGIN + self.clock.delta_as_nanos(self.start, raw)
    }
}

/// How long the timer thread pauses after it has woken sleepers, in nanoseconds. Sleepers that become due meanwhile
/// are woken together: with a limit of 20,000 calls a second, this takes a third of the processor time.
const BETWEEN_WAKES: u64 = 1_000_000;

/// The timer thread's sleepers.
struct Timer {
    sleepers: Mutex<Sleepers>,
    /// Notified when a sleeper is inserted before all others.
    earlier: Condvar,
}

static TIMER: Timer = Timer {
    sleepers: Mutex::new(Sleepers::new()),
    earlier: Condvar::new(),
};

impl Timer {
    fn start() {
        static STARTED: OnceLock<()> = OnceLock::new();
        STARTED.get_or_init(|| {
            let spawned = thread::Builder::new()
                .name("premier-timer".into())
                .spawn(|| TIMER.run());
            // Without the timer thread, async callers would sleep for ever.
            spawned.expect("the timer thread of premier could not be started");
        });
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        lock_std(&self.sleepers)
    }

    /// Stores the waker of a sleeper. Returns its earlier waker, which the caller must drop without a lock, because
    /// dropping it may run user code.
    #[must_use]
    fn insert(
        &self,
        sleeper: &mut Option<SleeperId>,
        deadline: u64,
        waker: Waker,
    ) -> Option<Waker> {
        Self::start();
        let mut sleepers = self.lock();
        let next = sleepers.next_deadline();
        let old = sleepers.sleep(sleeper, deadline, waker);
        drop(sleepers);
        // Wake the timer thread only if this deadline is earlier than the one it sleeps until.
        if next.is_none_or(|next| deadline < next) {
            self.earlier.notify_one();
        }
        old
    }

    fn remove(&self, sleeper: Option<SleeperId>) {
        let waker = sleeper.and_then(|id| self.lock().remove(id));
        drop(waker);
    }

    fn run(&self) {
        let mut sleepers = self.lock();
        let mut earliest = 0;
        loop {
            let now = SystemClock.now();
            if now >= earliest {
                let due = sleepers.due(now);
                if !due.is_empty() {
                    earliest = now + BETWEEN_WAKES;
                    drop(sleepers);
                    due.into_iter().for_each(Waker::wake);
                    sleepers = self.lock();
                    continue;
                }
            }
            sleepers = match sleepers.next_deadline() {
                Some(deadline) => {
                    let next = deadline.max(earliest);
                    let left = Duration::from_nanos(next.saturating_sub(now));
                    self.earlier
                        .wait_timeout(sleepers, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .earlier
                    .wait(sleepers)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The time in nanoseconds, also in a tokio runtime whose time is virtual.
#[cfg(feature = "redis")]
pub(crate) fn real_now() -> u64 {
    Counter::get().real_now()
}

/// Wakes `waker` on the timer thread when [`real_now`] has reached `deadline`.
#[cfg(feature = "redis")]
pub(crate) fn wake_at(deadline: u64, waker: Waker) {
    drop(TIMER.insert(&mut None, deadline, waker));
}

/// Completes when [`real_now`] has reached `deadline`; never at [`u64::MAX`].
#[cfg(feature = "redis")]
pub(crate) fn real_sleep_until(deadline: u64) -> impl Future<Output = ()> + Send {
    struct RealSleep(u64, Option<SleeperId>);

    impl Future for RealSleep {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let deadline = self.0;
            if real_now() >= deadline {
                return Poll::Ready(());
            }
            if deadline < u64::MAX {
                drop(TIMER.insert(&mut self.1, deadline, context.waker().clone()));
            }
            Poll::Pending
        }
    }

    impl Drop for RealSleep {
        fn drop(&mut self) {
            TIMER.remove(self.1);
        }
    }

    RealSleep(deadline, None)
}

struct TimerSleep {
    deadline: u64,
    sleeper: Option<SleeperId>,
    #[cfg(feature = "tokio")]
    runtime_timer: RuntimeTimer,
}

impl Future for TimerSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now = SystemClock.now();
        if now >= self.deadline {
            return Poll::Ready(());
        }
        if self.deadline == u64::MAX {
            // A sleeper without a deadline is woken by another caller, not by the timer.
            return Poll::Pending;
        }
        let this = &mut *self;
        #[cfg(feature = "tokio")]
        {
            // In real time as well: a test may pause the runtime during the sleep.
            let left = Duration::from_nanos(this.deadline - now);
            this.runtime_timer.wake_after(left, context);
            if virtual_time::now().is_some() {
                return Poll::Pending;
            }
        }
        drop(TIMER.insert(&mut this.sleeper, this.deadline, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for TimerSleep {
    fn drop(&mut self) {
        TIMER.remove(self.sleeper);
    }
}
