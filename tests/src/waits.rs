//! Waiting in tests: every wait has a limit, and a wait in vain reports what it waited for.

use std::future::Future;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use premier::clock::ManualClock;

/// The limit of a wait. It only matters when a test fails, so it allows for a busy machine.
pub const LONGEST: Duration = Duration::from_secs(30);

/// Waits until the condition holds.
///
/// # Panics
/// When the condition does not hold within [`LONGEST`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONGEST, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the condition holds, while other tasks run.
///
/// # Panics
/// When the condition does not hold within [`LONGEST`].
pub async fn eventually_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !within(what, holds()).await {
        assert!(began.elapsed() < LONGEST, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Awaits a future.
///
/// # Panics
/// When the future is not ready within [`LONGEST`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LONGEST, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Awaits a task and returns its output.
///
/// # Panics
/// When the task has not ended within [`LONGEST`], has panicked or was cancelled.
pub async fn done<T>(what: &str, task: tokio::task::JoinHandle<T>) -> T {
    within(what, task)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Cancels a task and waits until it is dropped.
///
/// # Panics
/// When the task had already ended, or panics while it is dropped.
pub async fn cancelled<T: std::fmt::Debug>(what: &str, task: tokio::task::JoinHandle<T>) {
    task.abort();
    let error = within(what, task).await.expect_err(what);
    assert!(error.is_cancelled(), "{what}: {error}");
}

/// Joins a thread. Returns an error when the thread has panicked.
///
/// # Panics
/// When the thread has not ended within [`LONGEST`].
#[track_caller]
pub fn joined<T>(what: &str, thread: JoinHandle<T>) -> thread::Result<T> {
    eventually(what, || thread.is_finished());
    thread.join()
}

/// Runs `work`, which might block for ever, on a thread of its own.
///
/// # Panics
/// When `work` panics or has not ended within [`LONGEST`].
#[track_caller]
pub fn finishes<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    match joined(what, thread::spawn(work)) {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Receives the next message.
///
/// # Panics
/// When no message comes within [`LONGEST`], or all senders were dropped.
#[track_caller]
pub fn received<T>(what: &str, messages: &Receiver<T>) -> T {
    match messages.recv_timeout(LONGEST) {
        Ok(message) => message,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("waited in vain: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("all senders were dropped: {what}"),
    }
}

/// Waits until at least this many threads and tasks sleep on the clock.
///
/// # Panics
/// When fewer sleep after [`LONGEST`].
#[track_caller]
pub fn sleepers(clock: &ManualClock, count: usize) {
    let began = Instant::now();
    while clock.sleepers() < count {
        assert!(
            began.elapsed() < LONGEST,
            "waited in vain: {count} sleepers on the clock, but there are {}",
            clock.sleepers()
        );
        thread::yield_now();
    }
}

/// Calls `is_admitted` until it returns `false`. Returns how often it returned `true`.
///
/// # Panics
/// When it still returns `true` after [`LONGEST`].
#[track_caller]
pub fn until_denied(what: &str, mut is_admitted: impl FnMut() -> bool) -> u64 {
    let began = Instant::now();
    let mut count = 0;
    while is_admitted() {
        count += 1;
        assert!(
            began.elapsed() < LONGEST,
            "waited in vain for a denial after {count} admissions: {what}"
        );
    }
    count
}
