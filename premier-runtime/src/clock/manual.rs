//! A clock for tests that moves only when the test moves it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::sleepers::{SleeperId, Sleepers};
use super::{Clock, after};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// A clock for tests that stands still until the test moves it, and then wakes the threads and
/// tasks whose deadline has come.
///
/// Clones share one time. Pass a clone to
/// [`MemoryHandler::builder().clock(…)`](crate::MemoryHandler::builder) and move the clock through
/// the other.
///
/// ```
/// use premier::clock::ManualClock;
/// use premier::{Limit, MemoryHandler, Throttle};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let handler = MemoryHandler::builder().clock(clock.clone()).build();
/// let limit = Limit::fixed_window(1, Duration::from_secs(3600));
/// let hourly = Throttle::new("report", limit).with_config(handler);
///
/// assert!(hourly.check("alice")?.allowed);
/// assert!(!hourly.check("alice")?.allowed);
/// clock.advance(Duration::from_secs(3600));
/// assert!(hourly.check("alice")?.allowed);
/// # Ok::<(), premier::Error>(())
/// ```
///
/// To test code that waits, run the code on a second thread or task, call
/// [`ManualClock::wait_for_sleepers`] to learn that it sleeps, and wake it with
/// [`ManualClock::advance`]. With [`ManualClock::auto_advancing`] no second thread is needed: each
/// sleep moves the clock to its own deadline.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Inner>,
    changed: Condvar,
    auto: bool,
}

#[derive(Debug, Default)]
struct Inner {
    now: u64,
    sleepers: Sleepers,
}

impl ManualClock {
    /// Creates a clock that stands at zero.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    ///
    /// assert_eq!(ManualClock::new().now(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a clock at zero on which every sleep returns at once, after moving the clock to the
    /// deadline of the sleep.
    ///
    /// Use it for code in which only one thread or task sleeps at a time, such as a simulation or
    /// a retry.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::auto_advancing();
    /// clock.sleep(Duration::from_secs(60));
    /// assert_eq!(clock.now(), 60_000_000_000);
    /// ```
    #[must_use]
    pub fn auto_advancing() -> Self {
        Self {
            shared: Arc::new(Shared {
                auto: true,
                ..Shared::default()
            }),
        }
    }

    /// Moves the clock forward by `by` and wakes every sleeper whose deadline has come, earliest
    /// deadline first.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// clock.advance(Duration::from_micros(3));
    /// assert_eq!(clock.now(), 3_000);
    /// ```
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.set(Duration::from_nanos(after(now, by)));
    }

    /// Sets the clock to `since_origin` and wakes every sleeper whose deadline has come.
    ///
    /// The clock may be set back. All sleepers then wake up and sleep again, because their deadlines
    /// are a different time away.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// clock.set(Duration::from_secs(2));
    /// clock.set(Duration::from_secs(1));
    /// assert_eq!(clock.now(), 1_000_000_000);
    /// ```
    pub fn set(&self, since_origin: Duration) {
        let due = {
            let mut state = self.lock();
            let before = std::mem::replace(&mut state.now, after(0, since_origin));
            let now = state.now;
            if now < before {
                // The time left until each deadline has changed, so every sleeper must sleep anew.
                state.sleepers.all()
            } else {
                state.sleepers.due(now)
            }
        };
        self.shared.changed.notify_all();
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock to the earliest deadline anything sleeps until. Returns `false`, without
    /// moving the clock, when there is no such deadline.
    ///
    /// Callers in a wait queue that sleep until another caller wakes them have no deadline and are
    /// ignored.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// assert!(!clock.advance_to_next());
    /// let sleeper = std::thread::spawn({
    ///     let clock = clock.clone();
    ///     move || clock.sleep(Duration::from_secs(3600))
    /// });
    /// while !clock.advance_to_next() {}
    /// sleeper.join().unwrap();
    /// assert_eq!(clock.now(), 3_600_000_000_000);
    /// ```
    pub fn advance_to_next(&self) -> bool {
        let next = self.lock().sleepers.next_deadline();
        match next.filter(|deadline| *deadline < u64::MAX) {
            Some(deadline) => {
                self.set(Duration::from_nanos(deadline));
                true
            }
            None => false,
        }
    }

    /// Returns how many threads and tasks sleep on this clock.
    ///
    /// ```
    /// assert_eq!(premier::clock::ManualClock::new().sleepers(), 0);
    /// ```
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.len()
    }

    /// Blocks the calling thread until at least `count` threads and tasks sleep on this clock.
    ///
    /// It never times out: a test should make sure that the sleepers come.
    ///
    /// ```
    /// use premier::clock::{Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let sleeper = std::thread::spawn({
    ///     let clock = clock.clone();
    ///     move || clock.sleep(Duration::from_secs(1))
    /// });
    /// clock.wait_for_sleepers(1);
    /// clock.advance(Duration::from_secs(1));
    /// sleeper.join().unwrap();
    /// ```
    pub fn wait_for_sleepers(&self, count: usize) {
        let mut state = self.lock();
        while state.sleepers.len() < count {
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared.state)
    }

    /// Moves an auto-advancing clock to `deadline`. `u64::MAX` stands for a sleep without a
    /// deadline and moves nothing.
    fn jump_to(&self, deadline: u64) {
        if self.shared.auto && deadline < u64::MAX && deadline > self.now() {
            self.set(Duration::from_nanos(deadline));
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.lock().now
    }

    fn park_until(&self, deadline: u64) {
        self.jump_to(deadline);
        let id = {
            let mut state = self.lock();
            if state.now >= deadline {
                return;
            }
            state
                .sleepers
                .insert(deadline, super::waker_of_this_thread())
        };
        self.shared.changed.notify_all();
        thread::park();
        let waker = self.lock().sleepers.remove(id);
        drop(waker);
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Sleep {
            clock: self.clone(),
            deadline,
            sleeper: None,
        })
    }
}

struct Sleep {
    clock: ManualClock,
    deadline: u64,
    sleeper: Option<SleeperId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.clock.jump_to(this.deadline);
        let waker = context.waker().clone();
        let old = {
            let mut state = this.clock.lock();
            if state.now >= this.deadline {
                return Poll::Ready(());
            }
            state
                .sleepers
                .sleep(&mut this.sleeper, this.deadline, waker)
        };
        drop(old);
        this.clock.shared.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.sleeper {
            let waker = self.clock.lock().sleepers.remove(id);
            drop(waker);
        }
    }
}
