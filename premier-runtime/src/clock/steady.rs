//! A clock that may step back, made monotonic.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Clock, SystemClock};

/// The time of a handler. The system's clock is monotonic by itself and costs nothing more; any
/// other is watched, and a step back counts as no time passed: the time shown stands for that
/// moment and goes on from there.
#[derive(Clone, Debug, Default)]
pub(crate) enum SteadyClock {
    #[default]
    System,
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
        Self::Watched(Arc::new(Watched {
            clock: Box::new(clock),
            seen: Mutex::default(),
        }))
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::System => SystemClock.now(),
            Self::Watched(watched) => watched.now(),
        }
    }

    pub(crate) fn park_until(&self, deadline: u64) {
        match self {
            Self::System => SystemClock.park_until(deadline),
            Self::Watched(watched) => watched.clock.park_until(watched.raw(deadline)),
        }
    }

    pub(crate) fn sleep_until(&self, deadline: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::System => SystemClock.sleep_until(deadline),
            Self::Watched(watched) => watched.clock.sleep_until(watched.raw(deadline)),
        }
    }
}

impl Watched {
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
        deadline.saturating_sub(
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .offset,
        )
    }
}
