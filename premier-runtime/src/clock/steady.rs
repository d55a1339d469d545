//! The clock of a handler, made monotonic where the user's clock may step back.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(feature = "coarse-clock")]
use super::CoarseClock;
use super::system::Counter;
use super::{Clock, SystemClock};
use crate::sync::{Mutex, lock};
use crate::sync_future::SyncFuture;

/// The clock of a handler, which never steps back.
///
/// The system's clocks are monotonic and are read directly. Any other clock is corrected: a step
/// back counts as no time passed.
#[derive(Clone, Debug)]
pub(crate) enum SteadyClock {
    System(&'static Counter),
    #[cfg(feature = "coarse-clock")]
    Coarse,
    Custom(Arc<MonotonicClock>),
}

/// A user's clock whose steps back are subtracted.
#[derive(Debug)]
pub(crate) struct MonotonicClock {
    clock: Box<dyn Clock>,
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    last: u64,
    /// The sum of all steps back in nanoseconds, which is added to every reading.
    offset: u64,
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::System(Counter::get())
    }
}

impl SteadyClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        let any: &dyn Any = &clock;
        if any.is::<SystemClock>() {
            return Self::default();
        }
        #[cfg(feature = "coarse-clock")]
        if any.is::<CoarseClock>() {
            return Self::Coarse;
        }
        Self::Custom(Arc::new(MonotonicClock {
            clock: Box::new(clock),
            readings: Mutex::default(),
        }))
    }

    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::System(counter) => counter.now(),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.now(),
            Self::Custom(custom) => custom.now(),
        }
    }

    /// Whether a thread can wait by reading the clock over and over: whether the clock moves on its own and
    /// shows every moment.
    pub(crate) fn can_spin(&self) -> bool {
        #[cfg(feature = "tokio")]
        if super::virtual_time::now().is_some() {
            return false;
        }
        matches!(self, Self::System(_))
    }

    /// Replaces the coarse clock by the precise one. Limits may use a coarse clock; timeouts,
    /// retries and leaky buckets need the precise one.
    pub(crate) fn precise(&self) -> Self {
        match self {
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => Self::default(),
            clock => clock.clone(),
        }
    }

    pub(crate) fn park_until(&self, deadline: u64) {
        match self {
            Self::System(_) => SystemClock.park_until(deadline),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.park_until(deadline),
            Self::Custom(custom) => custom.clock.park_until(custom.inner_deadline(deadline)),
        }
    }

    pub(crate) fn sleep_until(&self, deadline: u64) -> Sleep {
        SyncFuture::new(match self {
            Self::System(_) => SystemClock.sleep_until(deadline),
            #[cfg(feature = "coarse-clock")]
            Self::Coarse => CoarseClock.sleep_until(deadline),
            Self::Custom(custom) => Box::pin(CustomSleep {
                deadline,
                offset: custom.offset(),
                inner: custom.clock.sleep_until(custom.inner_deadline(deadline)),
                custom: Arc::clone(custom),
            }),
        })
    }
}

/// A future that resolves at a deadline.
pub(crate) type Sleep = SyncFuture<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A sleep on a [`MonotonicClock`], restarted with a later deadline when the clock steps back.
struct CustomSleep {
    custom: Arc<MonotonicClock>,
    deadline: u64,
    offset: u64,
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for CustomSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.custom.now() >= self.deadline {
            return Poll::Ready(());
        }
        let offset = self.custom.offset();
        if offset != self.offset {
            self.offset = offset;
            self.inner = self
                .custom
                .clock
                .sleep_until(self.custom.inner_deadline(self.deadline));
        }
        self.inner.as_mut().poll(context)
    }
}

impl MonotonicClock {
    // Not inlined, so that `SteadyClock::now` stays small for the system's clocks.
    #[inline(never)]
    fn now(&self) -> u64 {
        let mut readings = lock(&self.readings);
        // Read under the lock: a reading from before it may be older than `readings.last`, which
        // would count as a step back.
        let raw = self.clock.now();
        if raw < readings.last {
            readings.offset += readings.last - raw;
        }
        readings.last = raw;
        raw.saturating_add(readings.offset)
    }

    /// Converts a deadline to the time of the underlying clock.
    fn inner_deadline(&self, deadline: u64) -> u64 {
        if deadline == u64::MAX {
            return deadline;
        }
        deadline.saturating_sub(self.offset())
    }

    fn offset(&self) -> u64 {
        lock(&self.readings).offset
    }
}
