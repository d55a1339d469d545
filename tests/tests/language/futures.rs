//! Functions that return futures: when their body runs, and what their futures are.
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

/// Counts the runs of one body.
type Runs = AtomicU32;

fn count(runs: &Runs) -> u32 {
    runs.fetch_add(1, Ordering::SeqCst) + 1
}

#[tokio::test]
async fn nothing_of_the_body_runs_before_a_throttle_admits_the_call() {
    static RUNS: Runs = Runs::new(0);
    #[throttle(quota = 1, duration = "1h")]
    fn work(n: u32) -> impl Future<Output = Result<u32, Error>> {
        let run = count(&RUNS);
        async move { Ok(n + run) }
    }
    let not_awaited = work(1);
    assert_eq!(
        RUNS.load(Ordering::SeqCst),
        0,
        "the call is decided when it is awaited"
    );
    assert_eq!(not_awaited.await.unwrap(), 2);
    work(1).await.unwrap_err();
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_of_the_body_of_a_boxed_future_runs_before_admission() {
    static RUNS: Runs = Runs::new(0);
    struct Client {
        name: String,
    }
    impl Client {
        #[throttle(quota = 1, duration = "1h", key = path)]
        fn get<'a>(
            &'a self,
            path: &'a str,
        ) -> Pin<Box<dyn Future<Output = Result<String, Error>> + Send + 'a>> {
            count(&RUNS);
            let url = format!("{}/{path}", self.name);
            Box::pin(async move { Ok(url) })
        }
    }
    let client = Client {
        name: "host".into(),
    };
    assert_eq!(client.get("a").await.unwrap(), "host/a");
    client.get("a").await.unwrap_err();
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_of_the_body_runs_while_a_breaker_is_open_or_no_permit_is_free() {
    static RUNS: Runs = Runs::new(0);
    struct Refused;
    impl From<Error> for Refused {
        fn from(_: Error) -> Self {
            Self
        }
    }
    #[circuit_breaker(failures = 1)]
    fn fails() -> impl Future<Output = Result<(), Refused>> {
        count(&RUNS);
        async { Err(Refused) }
    }
    #[concurrency(limit = 1)]
    fn waits() -> impl Future<Output = Result<(), Refused>> {
        count(&RUNS);
        std::future::pending()
    }
    let _ = fails().await;
    let _ = fails().await;
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    let mut held = Box::pin(waits());
    assert!(poll_once(held.as_mut()).is_none());
    assert!(matches!(waits().await, Err(Refused)));
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn the_future_of_a_function_is_sync_and_send_where_its_body_is() {
    fn assert_shared<F: Future + Send + Sync>(_: F) {}

    #[throttle(rate = "1/s")]
    async fn throttled(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[throttle(rate = "1/s", key = n)]
    #[throttle(rate = "5/s", wait)]
    async fn throttled_twice(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[throttle(rate = "1/s")]
    fn returned(n: u32) -> impl Future<Output = u32> + Send + Sync {
        std::future::ready(n)
    }
    #[retry]
    async fn retried(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[timeout(5)]
    async fn timed(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[cache]
    async fn cached(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[circuit_breaker]
    async fn broken(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    #[concurrency(limit = 1, wait)]
    async fn limited(n: u32) -> Result<u32, Error> {
        Ok(n)
    }
    assert_shared(throttled(1));
    assert_shared(throttled_twice(1));
    assert_shared(returned(1));
    assert_shared(retried(1));
    assert_shared(timed(1));
    assert_shared(cached(1));
    assert_shared(broken(1));
    assert_shared(limited(1));
}

#[test]
fn futures_of_calls_that_may_wait_are_small() {
    use premier::{Limit, Throttle};
    #[throttle(quota = 1, duration = "1h", wait)]
    async fn work() -> Result<(), Error> {
        Ok(())
    }
    let throttle = Throttle::new("small", Limit::token_bucket(1, Duration::from_secs(1))).wait();
    let sizes = [
        size_of_val(&throttle.acquire_async("key")),
        size_of_val(&work()),
    ];
    // The first has a key of up to 120 bytes.
    assert!(sizes[0] <= 640 && sizes[1] <= 320, "{sizes:?}");
}
