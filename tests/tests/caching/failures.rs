//! Callers that wait for a computation which fails.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use premier::{Error, cache, throttle};
use premier_tests::scope;
use premier_tests::waits::{done, eventually, joined, within};
use tokio::sync::Notify;
use tokio::task;

use super::{CLOCK, Failure, next, settle};

#[tokio::test]
async fn all_waiting_tasks_get_the_failure_at_once_if_the_error_is_clone() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn down() -> Result<u32, Failure> {
        RELEASE.notified().await;
        Err(Failure(next(&CALLS)))
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..1_000).map(|_| task::spawn(down())).collect();
    settle().await;
    RELEASE.notify_one();
    for task in tasks {
        assert_eq!(done("the task ends", task).await, Err(Failure(1)));
    }
    // The failure is not kept for later callers.
    RELEASE.notify_one();
    assert_eq!(within("a later call", down()).await, Err(Failure(2)));
}

#[test]
fn all_waiting_threads_get_the_failure_at_once() {
    counter!(CALLS);
    counter!(STARTED);
    #[cache]
    fn down() -> Result<u32, &'static str> {
        next(&CALLS);
        eventually("all have started", || STARTED.load(Ordering::SeqCst) == 20);
        thread::sleep(Duration::from_millis(300));
        Err("down")
    }
    LazyLock::force(&CLOCK);
    let call = || {
        next(&STARTED);
        down()
    };
    let threads: Vec<_> = (0..20).map(|_| thread::spawn(call)).collect();
    for thread in threads {
        assert_eq!(joined("the thread ends", thread).unwrap(), Err("down"));
    }
    assert!(CALLS.load(Ordering::SeqCst) < 4, "some came too late");
}

#[tokio::test]
async fn one_caller_tries_again_for_all_if_the_error_is_not_clone() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache(name = "a backend that is down")]
    async fn down() -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        RELEASE.notified().await;
        Err(format!("attempt {}", next(&CALLS)).into())
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..20).map(|_| task::spawn(down())).collect();
    settle().await;
    RELEASE.notify_one();
    settle().await;
    RELEASE.notify_one();
    let mut messages = Vec::new();
    for task in tasks {
        let error = done("the task ends", task).await.unwrap_err();
        if let Some(error) = error.downcast_ref::<Error>() {
            assert!(matches!(error, Error::LoadFailed { .. }), "{error:?}");
            assert!(error.is_retryable() && !error.is_refusal());
        }
        messages.push(error.to_string());
    }
    messages.sort();
    messages.dedup();
    assert_eq!(
        messages,
        [
            "another call of a backend that is down has failed to compute the value: attempt 2",
            "attempt 1",
            "attempt 2",
        ]
    );
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
}

/// An error that is not `Clone` and does not implement `From<premier::Error>`.
#[derive(Debug, PartialEq)]
struct Unique(u32);

#[tokio::test]
async fn callers_make_their_own_attempts_at_the_same_time_if_the_error_cannot_be_shared() {
    counter!(CALLS);
    counter!(RUNNING);
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn down() -> Result<u32, Unique> {
        next(&RUNNING);
        RELEASE.notified().await;
        Err(Unique(next(&CALLS)))
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..20).map(|_| task::spawn(down())).collect();
    for attempt in 1..=2 {
        settle().await;
        assert_eq!(RUNNING.load(Ordering::SeqCst), attempt);
        RELEASE.notify_one();
    }
    settle().await;
    assert_eq!(RUNNING.load(Ordering::SeqCst), 20);
    RELEASE.notify_waiters();
    let mut failures = Vec::new();
    for task in tasks {
        failures.push(done("the task ends", task).await.unwrap_err().0);
    }
    failures.sort_unstable();
    assert_eq!(failures, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refusal_of_the_computing_call_is_returned_to_all_waiting_callers() {
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    #[throttle(rate = "1/366d")]
    async fn load(id: u32) -> Result<u32, Error> {
        RELEASE.notified().await;
        Ok(id)
    }
    let (scope, _clock) = scope();
    RELEASE.notify_one();
    let first = scope.run_async(load(1));
    assert_eq!(within("the first", first).await.unwrap(), 1);
    let tasks: Vec<_> = (0..3)
        .map(|_| task::spawn(scope.run_async(load(2))))
        .collect();
    for task in tasks {
        assert!(done("the task ends", task).await.unwrap_err().is_refusal());
    }
}

/// Not part of the text, which is equal for all values.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Secret(u32);

impl std::fmt::Display for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

#[tokio::test]
async fn a_failure_belongs_to_the_arguments_and_not_to_their_text() {
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn login(secret: Secret) -> Result<u32, Failure> {
        match secret.0 {
            1 => {
                RELEASE.notified().await;
                Err(Failure(1))
            }
            other => Ok(other),
        }
    }
    LazyLock::force(&CLOCK);
    let fails = task::spawn(login(Secret(1)));
    settle().await;
    // The call does not wait either.
    let other = within("another caller", login(Secret(2))).await;
    assert_eq!(other, Ok(2));
    let same = task::spawn(login(Secret(1)));
    settle().await;
    RELEASE.notify_one();
    for task in [fails, same] {
        assert_eq!(done("the task ends", task).await, Err(Failure(1)));
    }
}

#[tokio::test]
async fn a_none_that_is_not_kept_is_returned_to_all_waiting_callers() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache(only_some)]
    async fn find() -> Option<u32> {
        RELEASE.notified().await;
        next(&CALLS);
        None
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..20).map(|_| task::spawn(find())).collect();
    settle().await;
    RELEASE.notify_one();
    for task in tasks {
        assert_eq!(done("the task ends", task).await, None);
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

/// An error that borrows from its input, as those of parsers do.
#[derive(Clone, Debug, PartialEq)]
struct ParseError<'a>(&'a str);

#[test]
fn an_error_may_borrow_from_an_argument() {
    #[cache]
    fn parse(text: &str) -> Result<u32, ParseError<'_>> {
        text.parse().map_err(|_| ParseError(text))
    }
    #[cache(key = "{error:?}")]
    fn generic<E: Clone + std::fmt::Debug>(error: E) -> Result<u32, E> {
        Err(error)
    }
    LazyLock::force(&CLOCK);
    assert_eq!(parse("12"), Ok(12));
    assert_eq!(parse("twelve"), Err(ParseError("twelve")));
    assert_eq!(generic("no"), Err("no"));
}

/// The caller that computes is a thread whose panic reaches no one else.
#[test]
fn a_panic_lets_the_next_caller_compute() {
    counter!(CALLS);
    #[cache]
    fn load() -> Result<u32, Failure> {
        let call = next(&CALLS);
        thread::sleep(Duration::from_millis(200));
        assert!(call > 1, "the first one panics");
        Ok(call)
    }
    LazyLock::force(&CLOCK);
    let first = thread::spawn(load);
    eventually("it computes", || CALLS.load(Ordering::SeqCst) == 1);
    let others: Vec<_> = (0..5).map(|_| thread::spawn(load)).collect();
    joined("the first ends", first).unwrap_err();
    for other in others {
        assert_eq!(joined("another one ends", other).unwrap(), Ok(2));
    }
}
