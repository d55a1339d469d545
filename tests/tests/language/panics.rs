//! A call that panics returns its permit, and a circuit breaker counts it as a failure.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, mpsc};
use std::thread;

use premier::{Error, circuit_breaker, concurrency};
use premier_tests::waits::{done, eventually, joined, within};
use tokio::sync::Notify;
use tokio::task;

fn work(panics: bool) -> Result<u32, Error> {
    assert!(!panics, "the test asked for this panic");
    Ok(1)
}

/// One function of each shape with the given attribute.
macro_rules! shapes {
    ($($attribute:tt)*) => {
        $($attribute)*
        fn sync(panics: bool) -> Result<u32, Error> {
            work(panics)
        }

        $($attribute)*
        async fn asynchronous(panics: bool) -> Result<u32, Error> {
            task::yield_now().await;
            work(panics)
        }

        $($attribute)*
        fn future(panics: bool) -> impl Future<Output = Result<u32, Error>> + Send {
            async move { work(panics) }
        }

        $($attribute)*
        fn boxed(panics: bool) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
            Box::pin(async move { work(panics) })
        }
    };
}

async fn panics<F>(what: &str, call: F)
where
    F: Future<Output = Result<u32, Error>> + Send + 'static,
{
    let error = within(what, task::spawn(call)).await.expect_err(what);
    assert!(error.is_panic(), "{what}: {error}");
}

#[tokio::test]
async fn a_call_that_panics_returns_its_permit() {
    shapes!(#[concurrency(limit = 1)]);
    // One call more than there are permits: a permit returned twice would let it run.
    for _ in 0..2 {
        joined("a sync call", thread::spawn(|| sync(true))).unwrap_err();
        panics("an async call", asynchronous(true)).await;
        panics("a call that returns a future", future(true)).await;
        panics("a call that returns a box", boxed(true)).await;
    }
    assert_eq!(sync(false).unwrap(), 1);
    assert_eq!(asynchronous(false).await.unwrap(), 1);
    assert_eq!(future(false).await.unwrap(), 1);
    assert_eq!(boxed(false).await.unwrap(), 1);
}

#[tokio::test]
async fn a_call_that_panics_counts_as_a_failure_of_the_circuit_breaker() {
    shapes!(#[circuit_breaker(failures = 2, within = "1h", open_for = "1h")]);
    let is_open = |result: Result<u32, Error>| matches!(result, Err(Error::CircuitOpen { .. }));
    for _ in 0..2 {
        assert!(!is_open(sync(false)));
        assert!(!is_open(asynchronous(false).await));
        assert!(!is_open(future(false).await));
        assert!(!is_open(boxed(false).await));
        joined("a sync call", thread::spawn(|| sync(true))).unwrap_err();
        panics("an async call", asynchronous(true)).await;
        panics("a call that returns a future", future(true)).await;
        panics("a call that returns a box", boxed(true)).await;
    }
    assert!(is_open(sync(false)));
    assert!(is_open(asynchronous(false).await));
    assert!(is_open(future(false).await));
    assert!(is_open(boxed(false).await));
}

#[tokio::test]
async fn a_task_that_panics_lets_the_next_waiter_run() {
    static PANIC: Notify = Notify::const_new();
    #[concurrency(limit = 1, wait)]
    async fn run(panics: bool) -> Result<u32, Error> {
        if panics {
            PANIC.notified().await;
        }
        work(panics)
    }
    let first = task::spawn(run(true));
    task::yield_now().await;
    let second = task::spawn(run(false));
    task::yield_now().await;
    assert!(!second.is_finished());
    PANIC.notify_one();
    assert!(within("the first", first).await.unwrap_err().is_panic());
    assert_eq!(done("the second", second).await.unwrap(), 1);
}

#[test]
fn a_thread_that_panics_lets_the_next_waiter_run() {
    static PANIC: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);
    #[concurrency(limit = 1, wait)]
    fn run(panics: bool) -> Result<u32, Error> {
        if panics {
            let panic = PANIC.lock().unwrap().take().unwrap();
            let _ = panic.recv_timeout(premier_tests::waits::LONGEST);
        }
        work(panics)
    }
    let (panic, awaited) = mpsc::channel();
    *PANIC.lock().unwrap() = Some(awaited);
    let first = thread::spawn(|| run(true));
    eventually("the first runs", || PANIC.lock().unwrap().is_none());
    let second = thread::spawn(|| run(false));
    panic.send(()).unwrap();
    joined("the first", first).unwrap_err();
    assert_eq!(joined("the second", second).unwrap().unwrap(), 1);
}
