//! The clock of the machine.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::Clock;
use super::sleepers::{Place, Sleepers};

/// The machine's monotonic clock: the processor's time-stamp counter where the system vouches for
/// it, else that of the system ([`quanta`](https://docs.rs/quanta)). Measured against the system's
/// it keeps within a few parts in a million; should one core's counter be behind another's, nobody
/// is hurt for longer than that difference, for instants of the future are clamped.
///
/// Async sleeps are woken by one timer thread, started at the first need: it is precise to the
/// system's timer, works under every executor, and asks nothing of a tokio runtime, which may have
/// been built without a timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Far enough from zero that no period reaches back behind it.
pub(super) const ORIGIN: u64 = 1 << 56;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> u64 {
        Counter::get().now()
    }

    fn park_until(&self, deadline: u64) {
        match deadline {
            u64::MAX => thread::park(),
            deadline => {
                let left = deadline.saturating_sub(self.now());
                if left > 0 {
                    thread::park_timeout(Duration::from_nanos(left));
                }
            }
        }
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(TimerSleep {
            deadline,
            place: None,
        })
    }
}

/// The processor's counter and what a tick of it is worth.
#[derive(Debug)]
struct Counter {
    clock: quanta::Clock,
    start: u64,
    /// What the counter would have shown at the time 0; below zero it wraps.
    zero: u64,
    /// In nanoseconds, as a fraction of 2^64; 0 when it is a nanosecond or longer.
    tick: u64,
}

impl Counter {
    /// The counter of this process.
    #[inline]
    fn get() -> &'static Self {
        static COUNTER: LazyLock<Counter> = LazyLock::new(Counter::new);
        &COUNTER
    }

    fn new() -> Self {
        // Ticks of some minutes, so that what rounding them loses is nothing beside the clock's own
        // error.
        const MANY: u64 = 1 << 40;
        let clock = quanta::Clock::new();
        let (start, nanos) = (clock.raw(), clock.delta_as_nanos(0, MANY));
        let tick = u64::try_from(u128::from(nanos) << 64 >> 40).unwrap_or(0);
        let origin = (u128::from(ORIGIN) << 64).checked_div(u128::from(tick));
        let (tick, origin) = match origin.map(u64::try_from) {
            Some(Ok(origin)) => (tick, origin),
            _ => (0, 0),
        };
        Self {
            clock,
            start,
            zero: start.wrapping_sub(origin),
            tick,
        }
    }

    /// What [`SystemClock`] shows.
    #[inline]
    fn now(&self) -> u64 {
        let raw = self.clock.raw();
        if self.tick == 0 {
            return self.now_by_division(raw);
        }
        // One multiplication, where the clock's own way also shifts by a variable. A counter that
        // is behind the start shows a time before the origin.
        let ticks = raw.wrapping_sub(self.zero);
        ((u128::from(ticks) * u128::from(self.tick)) >> 64) as u64
    }

    #[cold]
    #[inline(never)]
    fn now_by_division(&self, raw: u64) -> u64 {
        ORIGIN + self.clock.delta_as_nanos(self.start, raw)
    }
}

/// The sleepers of the timer thread.
struct Timer {
    sleepers: Mutex<Sleepers>,
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
            // Without threads nothing in the process can wait any more.
            spawned.expect("the timer thread of premier could not be started");
        });
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut sleepers = self.lock();
        loop {
            let now = SystemClock.now();
            let due = sleepers.due(now);
            if !due.is_empty() {
                drop(sleepers);
                due.into_iter().for_each(Waker::wake);
                sleepers = self.lock();
                continue;
            }
            sleepers = match sleepers.next_deadline() {
                Some(deadline) => {
                    let left = Duration::from_nanos(deadline.saturating_sub(now));
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

struct TimerSleep {
    deadline: u64,
    place: Option<Place>,
}

impl Future for TimerSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if SystemClock.now() >= self.deadline {
            return Poll::Ready(());
        }
        if self.deadline == u64::MAX {
            // Whoever sleeps without end is woken by others.
            return Poll::Pending;
        }
        Timer::start();
        let waker = context.waker().clone();
        let this = &mut *self;
        let mut sleepers = TIMER.lock();
        let next = sleepers.next_deadline();
        let old = sleepers.sleep(&mut this.place, this.deadline, waker);
        drop(sleepers);
        drop(old);
        // The timer thread is woken only if it would sleep too long.
        if next.is_none_or(|next| this.deadline < next) {
            TIMER.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for TimerSleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = TIMER.lock().remove(place);
            drop(waker);
        }
    }
}
