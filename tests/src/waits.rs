//! How tests wait: every wait ends, and a wait in vain says what it was for.

use std::future::Future;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use premier::clock::ManualClock;

/// How long a test waits for something that takes no time by itself, on a busy machine.
pub const LONGEST: Duration = Duration::from_secs(30);

/// Waits until the condition holds.
///
/// # Panics
/// When it does not within [`LONGEST`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONGEST, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the condition holds, and lets other tasks run meanwhile.
///
/// # Panics
/// When it does not within [`LONGEST`].
pub async fn eventually_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !within(what, holds()).await {
        assert!(began.elapsed() < LONGEST, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Awaits a future, such as a task.
///
/// # Panics
/// When it is not ready within [`LONGEST`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LONGEST, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Awaits a task and goes on with its panic.
///
/// # Panics
/// When it has not ended within [`LONGEST`], has panicked or was cancelled.
pub async fn done<T>(what: &str, task: tokio::task::JoinHandle<T>) -> T {
    within(what, task)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Cancels a task and waits until it has gone.
///
/// # Panics
/// When it had ended before, or panics while it is dropped.
pub async fn cancelled<T: std::fmt::Debug>(what: &str, task: tokio::task::JoinHandle<T>) {
    task.abort();
    let error = within(what, task).await.expect_err(what);
    assert!(error.is_cancelled(), "{what}: {error}");
}

/// Joins a thread; an error when it has panicked.
///
/// # Panics
/// When it has not ended within [`LONGEST`].
#[track_caller]
pub fn joined<T>(what: &str, thread: JoinHandle<T>) -> thread::Result<T> {
    eventually(what, || thread.is_finished());
    thread.join()
}

/// Runs something that might block for ever on a thread of its own.
///
/// # Panics
/// When it panics or has not ended within [`LONGEST`].
#[track_caller]
pub fn finishes<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    match joined(what, thread::spawn(work)) {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The next message.
///
/// # Panics
/// When none comes within [`LONGEST`].
#[track_caller]
pub fn received<T>(what: &str, messages: &Receiver<T>) -> T {
    match messages.recv_timeout(LONGEST) {
        Ok(message) => message,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("waited in vain: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("nobody is left to send: {what}"),
    }
}

/// Waits until at least this many threads and tasks sleep on the clock.
///
/// # Panics
/// When they do not within [`LONGEST`].
#[track_caller]
pub fn sleepers(clock: &ManualClock, count: usize) {
    let began = Instant::now();
    while clock.sleepers() < count {
        assert!(
            began.elapsed() < LONGEST,
            "waited in vain: {count} sleep on the clock, and not only {}",
            clock.sleepers()
        );
        thread::yield_now();
    }
}

/// How often something is admitted until it is denied.
///
/// # Panics
/// When it is still admitted after [`LONGEST`].
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
