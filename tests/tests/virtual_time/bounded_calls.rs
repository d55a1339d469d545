//! `#[timeout]`, `#[circuit_breaker]` and `#[concurrency]`.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use premier::{Error, circuit_breaker, concurrency, timeout, timeout_workers};
use premier_tests::waits::{
    LONGEST, cancelled, done, eventually, finishes, joined, sleepers, within,
};
use tokio::sync::Notify;
use tokio::task;

use super::{CLOCK, alone};

const SECOND: Duration = Duration::from_secs(1);

async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

#[derive(Debug)]
enum Failure {
    Own(u32),
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

struct OnDrop(&'static AtomicBool);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn an_async_call_is_dropped_at_its_deadline() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    #[timeout("1500ms")]
    async fn slow(wait: bool) -> Result<u32, Failure> {
        let _guard = OnDrop(&DROPPED);
        if wait {
            std::future::pending::<()>().await;
        }
        Err(Failure::Own(1))
    }
    let _turn = alone();
    assert!(matches!(slow(false).await, Err(Failure::Own(1))));
    DROPPED.store(false, Ordering::SeqCst);
    let call = task::spawn(slow(true));
    settle().await;
    CLOCK.advance(3 * SECOND / 2 - Duration::from_nanos(1));
    settle().await;
    assert!(!call.is_finished());
    CLOCK.advance(Duration::from_nanos(1));
    let error = done("the call ends", call).await.unwrap_err();
    assert!(DROPPED.load(Ordering::SeqCst));
    let Failure::Premier(error) = error else {
        panic!("{error:?}")
    };
    assert!(matches!(error, Error::Timeout { after, .. } if after == 3 * SECOND / 2));
    let text = error.to_string();
    assert!(
        text.ends_with("::slow did not finish within 1.5s"),
        "{text}"
    );
}

#[test]
fn a_sync_caller_is_released_and_the_worker_is_counted_to_its_end() {
    static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    #[timeout(60)]
    fn slow(end: Arc<Mutex<mpsc::Receiver<()>>>) -> u32 {
        NAMES
            .lock()
            .unwrap()
            .push(thread::current().name().unwrap_or_default().to_owned());
        let _ = end.lock().unwrap().recv_timeout(LONGEST);
        7
    }
    let _turn = alone();
    let (end, ended) = mpsc::channel();
    let ended = Arc::new(Mutex::new(ended));
    let caller = thread::spawn({
        let ended = Arc::clone(&ended);
        || slow(ended)
    });
    sleepers(&CLOCK, 1);
    assert_eq!(timeout_workers(), 1);
    CLOCK.advance(60 * SECOND);
    assert!(matches!(
        joined("the caller ends", caller).unwrap(),
        Err(Error::Timeout { .. })
    ));
    assert_eq!(timeout_workers(), 1);
    end.send(()).unwrap();
    eventually("the worker ends", || timeout_workers() == 0);
    end.send(()).unwrap();
    assert_eq!(slow(ended).unwrap(), 7);
    let names = NAMES.lock().unwrap();
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("premier-timeout ") && name.contains("slow")),
        "{names:?}"
    );
}

#[test]
fn a_panic_of_the_worker_reaches_the_caller() {
    #[timeout(60)]
    fn panics(number: u32) -> u32 {
        panic!("no {number}");
    }
    let _turn = alone();
    let panic = joined("the caller ends", thread::spawn(|| panics(3))).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some("no 3")
    );
    eventually("the worker ends", || timeout_workers() == 0);
}

#[test]
fn an_invalid_timeout_at_run_time_is_a_config_error() {
    #[timeout(seconds = f64::from(1_u8) - 1.0)]
    fn never() {}
    let _turn = alone();
    assert!(matches!(never(), Err(Error::Config { .. })));
}

#[test]
fn a_breaker_opens_then_probes_then_closes() {
    #[circuit_breaker(failures = 3, within = "10s", open_for = "30s", half_open = 2, on = Failure::Own(1..))]
    fn call(result: Result<u32, u32>) -> Result<u32, Failure> {
        result.map_err(Failure::Own)
    }
    let open = |result: Result<u32, Failure>| match result {
        Err(Failure::Premier(Error::CircuitOpen { retry_after, .. })) => Some(retry_after),
        _ => None,
    };
    let _turn = alone();
    // These failures are too far apart, or of a kind that does not count.
    for _ in 0..5 {
        assert!(open(call(Err(1))).is_none());
        assert!(open(call(Err(0))).is_none());
        CLOCK.advance(5 * SECOND);
    }
    CLOCK.advance(10 * SECOND);
    for _ in 0..3 {
        assert!(matches!(call(Err(1)), Err(Failure::Own(1))));
        CLOCK.advance(SECOND);
    }
    assert_eq!(open(call(Ok(1))), Some(29 * SECOND));
    CLOCK.advance(29 * SECOND - Duration::from_nanos(1));
    assert_eq!(open(call(Ok(1))), Some(Duration::from_nanos(1)));
    CLOCK.advance(Duration::from_nanos(1));
    // While half open, one failure opens the breaker again and two successes close it.
    assert!(open(call(Ok(1))).is_none());
    assert!(open(call(Err(1))).is_none());
    assert_eq!(open(call(Ok(1))), Some(30 * SECOND));
    CLOCK.advance(30 * SECOND);
    for _ in 0..2 {
        assert!(call(Ok(1)).is_ok());
    }
    for _ in 0..2 {
        assert!(matches!(call(Err(1)), Err(Failure::Own(1))));
    }
    assert!(call(Ok(1)).is_ok());
}

#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn a_half_open_breaker_admits_its_probes_and_replaces_those_that_are_dropped() {
    static RELEASE: Notify = Notify::const_new();
    #[circuit_breaker(failures = 1, open_for = "1s")]
    async fn call(fails: bool) -> Result<(), Failure> {
        if fails {
            return Err(Failure::Own(1));
        }
        RELEASE.notified().await;
        Ok(())
    }
    let _turn = alone();
    assert!(call(true).await.is_err());
    CLOCK.advance(SECOND);
    let trial = task::spawn(call(false));
    settle().await;
    assert!(matches!(
        within("a second probe is refused", call(false)).await,
        Err(Failure::Premier(Error::CircuitOpen { .. }))
    ));
    cancelled("the probe", trial).await;
    let trial = task::spawn(call(false));
    settle().await;
    RELEASE.notify_one();
    assert!(done("the trial ends", trial).await.is_ok());
    RELEASE.notify_one();
    assert!(within("a call ends", call(false)).await.is_ok());
}

/// A probe may outlive the half-open phase that admitted it. Its outcome must not count then.
#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn the_outcome_of_a_probe_from_an_earlier_phase_is_ignored() {
    #[circuit_breaker(failures = 1, open_for = "1s", half_open = 2)]
    async fn call(what: u8) -> Result<(), Failure> {
        match what {
            0 => Ok(()),
            1 => Err(Failure::Own(1)),
            _ => std::future::pending().await,
        }
    }
    let _turn = alone();
    assert!(call(1).await.is_err());
    CLOCK.advance(SECOND);
    let old = task::spawn(call(2));
    settle().await;
    assert!(call(1).await.is_err());
    CLOCK.advance(SECOND);
    let new = task::spawn(call(2));
    settle().await;
    // A task reports its panic only when it is joined.
    cancelled("the old probe", old).await;
    cancelled("the new probe", new).await;
    // Both probes are free again, and only successes of this phase close the breaker.
    for _ in 0..2 {
        assert!(within("a call ends", call(0)).await.is_ok());
    }
    assert!(within("a call ends", call(0)).await.is_ok());
}

#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn only_as_many_calls_run_as_there_are_permits_and_others_wait_in_order() {
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    static RELEASE: Notify = Notify::const_new();
    #[concurrency(limit = 2, wait = "5s")]
    async fn run() -> Result<u32, Error> {
        let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        RELEASE.notified().await;
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(running)
    }
    let _turn = alone();
    let mut tasks: Vec<_> = (0..5).map(|_| task::spawn(run())).collect();
    settle().await;
    assert_eq!(RUNNING.load(Ordering::SeqCst), 2);
    // A waiter is cancelled, and the waiter behind it moves up.
    tasks.remove(2).abort();
    RELEASE.notify_one();
    settle().await;
    assert_eq!(RUNNING.load(Ordering::SeqCst), 2);
    assert_eq!(tasks.iter().filter(|task| task.is_finished()).count(), 1);
    // The last waiter reaches its deadline.
    CLOCK.advance(5 * SECOND);
    let last = done("the last task ends", tasks.pop().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(last, Error::ConcurrencyExceeded { limit: 2, .. }));
    // A running call that is dropped gives its permit back.
    tasks.iter().for_each(|task| task.abort());
    settle().await;
    RUNNING.store(0, Ordering::SeqCst);
    RELEASE.notify_one();
    assert_eq!(within("there is room", run()).await.unwrap(), 1);
}

#[test]
fn only_as_many_threads_run_as_there_are_permits_and_others_fail_at_once_without_wait() {
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    #[concurrency(limit = 3, wait)]
    fn run() -> Result<(), Error> {
        let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(running, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(1));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
    #[concurrency(limit = 1)]
    fn nested(depth: u32) -> Result<u32, Error> {
        if depth == 0 { Ok(0) } else { nested(depth - 1) }
    }
    let _turn = alone();
    let threads: Vec<_> = (0..40)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..5 {
                    run().unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| joined("the thread ends", thread).unwrap());
    assert_eq!(MOST.load(Ordering::SeqCst), 3);
    assert!(matches!(
        finishes("the inner call is refused", || nested(1)),
        Err(Error::ConcurrencyExceeded { limit: 1, .. })
    ));
    assert_eq!(finishes("a call runs", || nested(0)).unwrap(), 0);
}
