//! Events that sum up occurrences which are too frequent to have an event each.
//!
//! A thread emits them, because no further call may come that could. It ends when no summary is left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Dispatch;
use tracing::dispatcher;

/// The time between summaries.
const EVERY: Duration = Duration::from_secs(1);

/// Occurrences that are summed up.
pub(super) trait Summary: Send + Sync {
    /// Emits the events about the occurrences since the last summary.
    fn emit(&self);
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    summaries: Vec::new(),
    has_thread: false,
});

struct Queue {
    /// The summaries that are due, each for the subscriber of the thread on which it began.
    summaries: Vec<(Dispatch, Arc<dyn Summary>)>,
    has_thread: bool,
}

fn locked() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a summary emitted within a second.
pub(super) fn queue(summary: Arc<dyn Summary>) {
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let mut queue = locked();
    queue.summaries.push((subscriber, summary));
    if !queue.has_thread {
        let thread = thread::Builder::new().name("premier-log".into());
        // Without a thread the summary stays in the queue, and the next one tries again.
        queue.has_thread = thread.spawn(emit_all).is_ok();
    }
}

/// Emits the summaries each second until there are none.
fn emit_all() {
    loop {
        thread::sleep(EVERY);
        let mut queue = locked();
        if queue.summaries.is_empty() {
            queue.has_thread = false;
            return;
        }
        let summaries = std::mem::take(&mut queue.summaries);
        drop(queue);
        for (subscriber, summary) in summaries {
            // A subscriber that panics receives the next summary all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                dispatcher::with_default(&subscriber, || summary.emit());
            }));
        }
    }
}
