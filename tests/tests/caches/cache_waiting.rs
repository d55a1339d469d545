//! How long callers of a `#[cache]` wait for the computation of another one.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::testing::Scope;
use premier::{MemoryHandler, cache};
use premier_tests::waits::{done, finishes, joined, received, sleepers, within};
use tokio::sync::Notify;
use tokio::task;

const SECOND: Duration = Duration::from_secs(1);

fn scope() -> (Scope, ManualClock) {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    (Scope::new(memory), clock)
}

fn next(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

#[tokio::test]
async fn a_task_that_has_waited_for_the_time_of_wait_computes() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static RELEASE: Notify = Notify::const_new();
    #[cache(wait = "1s")]
    async fn load() -> u32 {
        let call = next(&CALLS);
        if call == 1 {
            RELEASE.notified().await;
        }
        call
    }
    let (scope, clock) = scope();
    let hangs = task::spawn(scope.run_async(load()));
    settle().await;
    let waits = task::spawn(scope.run_async(load()));
    settle().await;
    clock.advance(SECOND - Duration::from_nanos(1));
    settle().await;
    assert!(!waits.is_finished());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(done("it waits no longer", waits).await, 2);
    let later = scope.run_async(load());
    assert_eq!(within("its value is kept", later).await, 2);
    RELEASE.notify_one();
    assert_eq!(done("the first ends", hangs).await, 1);
}

#[tokio::test]
async fn new_callers_wait_for_the_caller_that_computes_after_its_wait() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static RELEASE: Notify = Notify::const_new();
    #[cache(wait = "1s")]
    async fn load() -> u32 {
        let call = next(&CALLS);
        match call {
            1 => std::future::pending().await,
            _ => RELEASE.notified().await,
        }
        call
    }
    let (scope, clock) = scope();
    let hangs = task::spawn(scope.run_async(load()));
    settle().await;
    let overtakes = task::spawn(scope.run_async(load()));
    settle().await;
    clock.advance(SECOND);
    settle().await;
    let later = task::spawn(scope.run_async(load()));
    settle().await;
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    RELEASE.notify_one();
    assert_eq!(done("it computes", overtakes).await, 2);
    assert_eq!(done("it has waited", later).await, 2);
    hangs.abort();
}

#[test]
fn a_thread_that_has_waited_for_the_time_of_wait_computes() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static RELEASE: LazyLock<(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>)> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::channel();
        (sender, Mutex::new(receiver))
    });
    #[cache(wait = "1s")]
    fn load() -> u32 {
        let call = next(&CALLS);
        if call == 1 {
            received("the end of the first call", &RELEASE.1.lock().unwrap());
        }
        call
    }
    let (scope, clock) = scope();
    let hangs = thread::spawn(move || scope.run(load));
    premier_tests::waits::eventually("it computes", || CALLS.load(Ordering::SeqCst) == 1);
    let waits = thread::spawn(move || scope.run(load));
    sleepers(&clock, 1);
    clock.advance(SECOND);
    assert_eq!(joined("it waits no longer", waits).unwrap(), 2);
    RELEASE.0.send(()).unwrap();
    assert_eq!(joined("the first ends", hangs).unwrap(), 1);
}

/// Without `wait` this is a deadlock.
#[test]
fn a_function_that_calls_itself_with_the_same_key_goes_on_after_wait() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[cache(wait = "20ms")]
    fn load() -> u32 {
        match next(&CALLS) {
            1 => load() + 1,
            _ => 1,
        }
    }
    assert_eq!(finishes("the call", load), 2);
}
