//! A clock that stands still until it is told.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::sleepers::{Place, Sleepers};
use super::{Clock, after};

/// A clock for tests: it moves by [`ManualClock::advance`] only, and wakes whoever sleeps on it.
///
/// Clones are the same clock. Hand one to
/// [`MemoryHandler::builder().clock(…)`](crate::MemoryHandler::builder) and keep the other.
///
/// ```
/// use premier::clock::ManualClock;
/// use premier::{Limit, MemoryHandler, Throttle};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let handler = MemoryHandler::builder().clock(clock.clone()).build();
/// let limit = Limit::fixed_window(1, Duration::from_secs(3600));
/// let hourly = Throttle::with_handler(handler, "report", limit);
///
/// assert!(hourly.check("alice")?.allowed);
/// assert!(!hourly.check("alice")?.allowed);
/// clock.advance(Duration::from_secs(3600));
/// assert!(hourly.check("alice")?.allowed);
/// # Ok::<(), premier::Error>(())
/// ```
///
/// Code that waits is tested from a second thread or task:
/// [`ManualClock::wait_for_sleepers`] returns once it sleeps, then `advance` lets it go on.
/// [`ManualClock::auto_advancing`] needs no second thread: whoever sleeps moves the clock.
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
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that jumps to the deadline of whoever sleeps on it, at once. For code in which one
    /// thing at a time sleeps, such as a simulation or a retry.
    #[must_use]
    pub fn auto_advancing() -> Self {
        Self {
            shared: Arc::new(Shared {
                auto: true,
                ..Shared::default()
            }),
        }
    }

    /// Moves the clock on and wakes all whose deadline has come, earliest first.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.set(Duration::from_nanos(after(now, by)));
    }

    /// Sets the clock to this time since its origin. It may step back, as clocks of machines do.
    pub fn set(&self, since_origin: Duration) {
        let due = {
            let mut state = self.lock();
            let before = std::mem::replace(&mut state.now, after(0, since_origin));
            let now = state.now;
            if now < before {
                // Deadlines are another distance away now: all look again.
                state.sleepers.all()
            } else {
                state.sleepers.due(now)
            }
        };
        self.shared.changed.notify_all();
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock on to the earliest deadline of those who sleep on it; whether there was any.
    /// Those who only wait for their turn, with no deadline of their own, do not count.
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

    /// How many threads and tasks sleep on this clock now.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.len()
    }

    /// Blocks until at least `count` threads and tasks sleep on this clock.
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
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever only waits for his turn has no deadline of his own to jump to.
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
        let place = {
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
        let waker = self.lock().sleepers.remove(place);
        drop(waker);
    }

    fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Sleep {
            clock: self.clone(),
            deadline,
            place: None,
        })
    }
}

struct Sleep {
    clock: ManualClock,
    deadline: u64,
    place: Option<Place>,
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
            state.sleepers.sleep(&mut this.place, this.deadline, waker)
        };
        drop(old);
        this.clock.shared.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.clock.lock().sleepers.remove(place);
            drop(waker);
        }
    }
}
