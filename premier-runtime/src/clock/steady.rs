//! A clock that may step back, made monotonic.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

#[cfg(feature = "coarse-clock")]
use super::CoarseClock;
use super::{Clock, SystemClock};

/// The time of a handler. The system's clocks are monotonic by themselves and cost nothing more; any
/// other is watched, and a step back counts as no time passed: the time shown stands for that
/// moment and goes on from there.
#[derive(Clone, Debug, Default)]
pub(crate) enum SteadyClock {
    #[default]
    System,
    #[cfg(feature = "coarse-clock")]
    Coarse,
    Watched(Arc<Watched>),
}

#[derive(Debug)]
pub(crate) struct Watched {
    clock: Box<dyn Clock>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last: u64,
    /// How much has been lost in steps back.
    offset: u64,
}

impl SteadyClock {
    pub(crate) fn watching(clock: impl Clock) -> Self {
        let any: &dyn Any = &clock;
        if any.is::<SystemClock>() {
            return Self::System;
        }
        #[cfg(feature = "coarse-clock")]
        if any.is::<CoarseClock>() {
            return Self::Coarse;
        }
        Self::Watched(Arc::new(Watched {
            clock: Box::new(clock),
            seen: Mutex::default(),
        }))
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::System => SystemClock.now(),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.now(),
            Self::Watched(watched) => watched.now(),
        }
    }

    /// The same time as precisely as it can be had: what a limit may decide by is not what a
    /// timeout should be measured by.
    pub(crate) fn precise(&self) -> Self {
        match self {
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => Self::System,
            clock => clock.clone(),
        }
    }

    pub(crate) fn park_until(&self, deadline: u64) {
        match self {
            Self::System => SystemClock.park_until(deadline),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.park_until(deadline),
            Self::Watched(watched) => watched.clock.park_until(watched.raw(deadline)),
        }
    }

    pub(crate) fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::System => SystemClock.sleep_until(deadline),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.sleep_until(deadline),
            Self::Watched(watched) => Box::pin(WatchedSleep {
                deadline,
                offset: watched.offset(),
                inner: watched.clock.sleep_until(watched.raw(deadline)),
                watched: Arc::clone(watched),
            }),
        }
    }
}

/// A sleep that is armed anew when the clock has stepped back.
struct WatchedSleep {
    watched: Arc<Watched>,
    deadline: u64,
    offset: u64,
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for WatchedSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.watched.now() >= self.deadline {
            return Poll::Ready(());
        }
        let offset = self.watched.offset();
        if offset != self.offset {
            self.offset = offset;
            self.inner = self
                .watched
                .clock
                .sleep_until(self.watched.raw(self.deadline));
        }
        self.inner.as_mut().poll(context)
    }
}

impl Watched {
    // Apart, so that the clocks of the system stay short.
    #[inline(never)]
    fn now(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: a reading taken before it could be older than another thread's.
        let raw = self.clock.now();
        if raw < seen.last {
            seen.offset += seen.last - raw;
        }
        seen.last = raw;
        raw.saturating_add(seen.offset)
    }

    fn raw(&self, deadline: u64) -> u64 {
        if deadline == u64::MAX {
            return deadline;
        }
        deadline.saturating_sub(self.offset())
    }

    fn offset(&self) -> u64 {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .offset
    }
}
