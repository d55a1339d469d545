//! The virtual time of tokio runtimes, which tests pause and advance.
//!
//! tokio can pause the time of its current-thread runtimes if it is compiled with its feature
//! `test-util`. In all other builds [`IS_PAUSABLE`] is false, and the compiler removes this module.
//!
//! tokio says neither whether a runtime's time is virtual nor whether the runtime has a timer:
//!
//! - The time is virtual exactly when the runtime's `Instant::now()` does not lie between two readings of
//!   std's.
//! - `tokio::time::sleep` panics without a timer. [`has_timer`] tries it, and does so only in such builds.
//!   This is why sleepers elsewhere leave tokio's timer alone; it also rounds up to milliseconds.

use std::cell::Cell;
use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::time::{Sleep, sleep};

/// Whether the time of runtimes can be paused: whether tokio has the functions of `test-util`.
///
/// A glob import of an inner block hides names of an outer one, so `pause` is tokio's function where
/// there is one. tokio's returns nothing.
const IS_PAUSABLE: bool = {
    #[allow(dead_code, reason = "hidden by tokio's")]
    const fn pause() -> bool {
        false
    }
    const fn returns_nothing<R>(_: fn() -> R) -> bool {
        size_of::<R>() == 0
    }
    {
        #[allow(unused_imports, reason = "has no `pause` without `test-util`")]
        use tokio::time::*;
        // Where panics abort, a runtime cannot be asked for its timer. Tests are not built with aborting panics.
        returns_nothing(pause) && cfg!(panic = "unwind")
    }
};

thread_local! {
    /// How long this thread was blocked while the time of its runtime stood still.
    static BLOCKED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// The last runtime that [`has_timer`] was asked about, and its answer.
    static LAST_ASKED: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

/// The instant of the runtime that the thread is in, if its time is virtual.
///
/// A thread-local lookup where there is no such runtime, and three readings of the system's clock in one.
#[inline]
pub(super) fn now() -> Option<Instant> {
    match IS_PAUSABLE {
        true => now_in_runtime(),
        false => None,
    }
}

fn now_in_runtime() -> Option<Instant> {
    let runtime = pausable_runtime()?;
    let before = Instant::now();
    let now = tokio::time::Instant::now().into_std();
    let is_real = (before..=Instant::now()).contains(&now);
    (!is_real && has_timer(&runtime)).then(|| now + BLOCKED.get())
}

/// Parks the thread, for at most `longest`.
///
/// A blocked thread waits in real time. Virtual time stands still meanwhile, and the thread would wait
/// for ever: the time that it was blocked counts as passed for this thread.
pub(super) fn park(longest: Option<Duration>) {
    let (began, before) = (Instant::now(), now());
    match longest {
        Some(longest) => thread::park_timeout(longest),
        None => thread::park(),
    }
    if let (Some(before), Some(after)) = (before, now()) {
        let counted = after.saturating_duration_since(before);
        let uncounted = began.elapsed().saturating_sub(counted);
        BLOCKED.set(BLOCKED.get() + uncounted);
    }
}

/// Wakes a task by the timer of its runtime.
#[derive(Debug, Default)]
pub(super) struct RuntimeTimer(Option<(Id, Pin<Box<Sleep>>)>);

impl RuntimeTimer {
    /// Has the task woken once `left` has passed in its runtime, if the time of the runtime can be
    /// paused.
    pub(super) fn wake_after(&mut self, left: Duration, context: &mut Context<'_>) {
        let Some(runtime) = pausable_runtime().filter(has_timer) else {
            self.0 = None;
            return;
        };
        loop {
            // A sleep belongs to one runtime.
            if let Some((id, sleep)) = &mut self.0
                && *id == runtime.id()
                && sleep.as_mut().poll(context).is_pending()
            {
                return;
            }
            self.0 = Some((runtime.id(), Box::pin(sleep(left))));
        }
    }
}

/// The runtime that the thread is in, if its time can be paused.
fn pausable_runtime() -> Option<Handle> {
    if !IS_PAUSABLE {
        return None;
    }
    let runtime = Handle::try_current().ok()?;
    (runtime.runtime_flavor() == RuntimeFlavor::CurrentThread).then_some(runtime)
}

/// Whether the runtime that the thread is in has a timer.
///
/// If it has none, tokio's panic is caught. Its message is still printed.
fn has_timer(runtime: &Handle) -> bool {
    let id = runtime.id();
    match LAST_ASKED.get() {
        Some((asked, has_timer)) if asked == id => has_timer,
        _ => {
            let has_timer = panic::catch_unwind(|| drop(sleep(Duration::ZERO))).is_ok();
            LAST_ASKED.set(Some((id, has_timer)));
            has_timer
        }
    }
}

/// Relates instants to the readings of a clock.
#[derive(Debug)]
pub(super) struct Anchor {
    instant: Instant,
    reading: u64,
}

impl Anchor {
    pub(super) fn new(now: impl FnOnce() -> u64) -> Self {
        // The instant first: at the change to virtual time the clock does not step back.
        Self {
            instant: Instant::now(),
            reading: now(),
        }
    }

    /// What the clock would show at `instant`.
    pub(super) fn reading(&self, instant: Instant) -> u64 {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.reading.saturating_add(nanos(later)),
            None => self.reading.saturating_sub(nanos(self.instant - instant)),
        }
    }
}
