//! Callers of one key share one computation.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use premier::{cache, timeout};
use premier_tests::scope;
use premier_tests::waits::{done, joined, within};
use tokio::sync::Notify;
use tokio::task;

use super::{CLOCK, Failure, next, settle};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_share_one_computation() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn slow(id: u32) -> Result<u32, Failure> {
        RELEASE.notified().await;
        Ok(id + next(&CALLS))
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..1_000).map(|_| task::spawn(slow(10))).collect();
    thread::sleep(Duration::from_millis(50));
    RELEASE.notify_one();
    for task in tasks {
        assert_eq!(done("the task ends", task).await, Ok(11));
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

#[test]
fn a_thousand_threads_share_one_computation() {
    counter!(CALLS);
    #[cache]
    fn slow(id: u32) -> u32 {
        thread::sleep(Duration::from_millis(100));
        id + next(&CALLS)
    }
    LazyLock::force(&CLOCK);
    let threads: Vec<_> = (0..1_000).map(|_| thread::spawn(|| slow(10))).collect();
    for thread in threads {
        assert_eq!(joined("the thread ends", thread).unwrap(), 11);
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

/// An error that is not `Clone`.
#[derive(Debug, PartialEq)]
struct Unique(u32);

#[tokio::test]
async fn a_failure_is_not_kept_and_the_next_caller_computes() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn flaky() -> Result<u32, Unique> {
        RELEASE.notified().await;
        match next(&CALLS) {
            1 => Err(Unique(1)),
            call => Ok(call),
        }
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..10).map(|_| task::spawn(flaky())).collect();
    settle().await;
    RELEASE.notify_one();
    settle().await;
    assert!(tasks[0].is_finished() && tasks[1..].iter().all(|task| !task.is_finished()));
    RELEASE.notify_one();
    let mut results = Vec::new();
    for task in tasks {
        results.push(done("the task ends", task).await);
    }
    assert_eq!(results[0], Err(Unique(1)));
    assert!(results[1..].iter().all(|result| *result == Ok(2)));
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_computation_that_is_cancelled_or_panics_passes_to_the_next_caller() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache]
    async fn slow() -> u32 {
        let call = next(&CALLS);
        assert!(call != 2, "the second one panics");
        RELEASE.notified().await;
        call
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..5).map(|_| task::spawn(slow())).collect();
    settle().await;
    tasks[0].abort();
    // A caller that only waits is cancelled as well.
    tasks[3].abort();
    settle().await;
    assert!(tasks[1].is_finished());
    assert_eq!(CALLS.load(Ordering::SeqCst), 3);
    RELEASE.notify_one();
    for (nth, task) in tasks.into_iter().enumerate() {
        match nth {
            0 | 3 => assert!(
                within("the task ends", task)
                    .await
                    .unwrap_err()
                    .is_cancelled()
            ),
            1 => assert!(within("the task ends", task).await.unwrap_err().is_panic()),
            _ => assert_eq!(done("the task ends", task).await, 3),
        }
    }
}

/// A timeout outside the cache drops a slow computation, and the next caller starts it again.
#[tokio::test]
async fn a_computation_dropped_by_a_timeout_passes_to_the_next_caller() {
    counter!(CALLS);
    #[timeout("10ms")]
    #[cache]
    async fn slow() -> Result<u32, premier::Error> {
        if next(&CALLS) == 1 {
            std::future::pending::<()>().await;
        }
        Ok(7)
    }
    let (scope, clock) = scope();
    let first = task::spawn(scope.run_async(slow()));
    settle().await;
    clock.advance(Duration::from_millis(10));
    assert!(done("the first ends", first).await.is_err());
    let next = within("the next caller computes", scope.run_async(slow()));
    assert_eq!(next.await.unwrap(), 7);
}
