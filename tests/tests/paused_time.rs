//! In tests that pause the time of tokio, waits and everything that expires follow the paused time.
//!
//! Limits of hours end in a moment of real time, at the virtual instant that they promise. tokio's timer
//! counts milliseconds and rounds up.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use premier::clock::{Clock, CoarseClock, ManualClock, SystemClock};
use premier::{
    Algo, Error, Limit, MemoryHandler, Throttle, cache, circuit_breaker, concurrency, retry,
    throttle, timeout,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, pause, resume, sleep};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Awaits `work`, and asserts how long it takes in virtual time.
async fn takes<T>(expected: Duration, work: impl Future<Output = T>) -> T {
    let (real, began) = (std::time::Instant::now(), Instant::now());
    let output = work.await;
    assert_eq!(began.elapsed(), expected);
    assert!(real.elapsed() < 20 * SECOND, "{:?}", real.elapsed());
    output
}

fn in_memory(limit: Limit) -> Throttle {
    Throttle::new("paused", limit).with_config(MemoryHandler::new())
}

fn by_coarse_clock(limit: Limit) -> Throttle {
    let handler = MemoryHandler::builder().clock(CoarseClock).build();
    Throttle::new("paused", limit).with_config(handler)
}

/// A runtime without a timer.
fn without_timer() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_virtual_sleep() {
    #[timeout("500ms")]
    async fn slow() -> Result<(), Error> {
        sleep(HOUR).await;
        Ok(())
    }
    let ended = takes(500 * MILLISECOND, slow()).await;
    assert!(matches!(ended, Err(Error::Timeout { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_lets_a_shorter_sleep_end() {
    #[timeout("2h")]
    async fn slow() -> Result<(), Error> {
        sleep(HOUR).await;
        Ok(())
    }
    takes(HOUR, slow()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_throttled_function_waits_in_virtual_time() {
    #[throttle(algo = "token_bucket", rate = "1/h", burst = 1, wait)]
    async fn report() -> Result<(), Error> {
        Ok(())
    }
    takes(Duration::ZERO, report()).await.unwrap();
    takes(HOUR, report()).await.unwrap();
    takes(HOUR, report()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_algorithm_waits_in_virtual_time() {
    for (algo, wait) in [
        (Algo::TokenBucket, HOUR),
        (Algo::LeakyBucket, HOUR),
        (Algo::FixedWindow, HOUR),
        (Algo::SlidingLog, HOUR),
        // The unit counts until it is less than one, a nanosecond after the hour.
        (Algo::SlidingWindow, HOUR + MILLISECOND),
    ] {
        for throttle in [in_memory, by_coarse_clock] {
            let throttle = throttle(Limit::new(algo, 1, HOUR)).wait();
            takes(Duration::ZERO, throttle.acquire_async("k"))
                .await
                .unwrap();
            takes(wait, throttle.acquire_async("k")).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_are_admitted_one_after_the_other() {
    for algo in [Algo::TokenBucket, Algo::LeakyBucket, Algo::FixedWindow] {
        let limit = Limit::new(algo, 1, HOUR);
        // The queue has room for all of them.
        let limit = match algo {
            Algo::LeakyBucket => limit.bucket_size(10),
            _ => limit,
        };
        let (throttle, began) = (in_memory(limit).wait(), Instant::now());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move {
                    throttle.acquire_async("k").await.unwrap();
                    began.elapsed()
                })
            })
            .collect();
        for (hours, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), hours * HOUR, "{algo}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_take_too_long_is_denied_at_once() {
    let throttle = in_memory(Limit::token_bucket(1, HOUR)).wait_at_most(30 * MINUTE);
    throttle.acquire_async("k").await.unwrap();
    let denied = takes(Duration::ZERO, throttle.acquire_async("k")).await;
    assert_eq!(denied.unwrap_err().retry_after(), Some(HOUR));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_less_than_a_microsecond_does_not_spin() {
    #[throttle(algo = "leaky_bucket", rate = "2000000/s", bucket_size = 1000, wait)]
    async fn often() -> Result<(), Error> {
        Ok(())
    }
    for _ in 0..10 {
        often().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn limits_follow_virtual_time() {
    #[throttle(quota = 1, duration = "1h")]
    fn report() -> Result<(), Error> {
        Ok(())
    }
    #[throttle(quota = 1, duration = "1h", key = user)]
    async fn report_of(user: &str) -> Result<(), Error> {
        let _ = user;
        Ok(())
    }
    for _ in 0..3 {
        report().unwrap();
        report_of("alice").await.unwrap();
        advance(HOUR - MILLISECOND).await;
        assert_eq!(report().unwrap_err().retry_after(), Some(MILLISECOND));
        let denied = report_of("alice").await.unwrap_err();
        assert_eq!(denied.retry_after(), Some(MILLISECOND));
        advance(MILLISECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_delayed_in_virtual_time() {
    #[retry(max = 4, base = "1h", max_delay = "1d", jitter = "none")]
    async fn fail() -> Result<(), &'static str> {
        Err("no")
    }
    takes(7 * HOUR, fail()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn retries_end_after_virtual_time() {
    #[retry(
        max = 100,
        strategy = "fixed",
        base = "50m",
        max_delay = "1h",
        max_elapsed = "2h"
    )]
    async fn fail() -> Result<(), &'static str> {
        Err("no")
    }
    takes(100 * MINUTE, fail()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn cached_values_expire_in_virtual_time() {
    static COMPUTED: AtomicU32 = AtomicU32::new(0);

    #[cache(ttl = "1h")]
    async fn compute(number: u32) -> u32 {
        COMPUTED.fetch_add(1, Ordering::Relaxed) + number
    }
    assert_eq!(compute(0).await, 0);
    advance(HOUR - MILLISECOND).await;
    assert_eq!(compute(0).await, 0);
    advance(MILLISECOND).await;
    assert_eq!(compute(0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_open_in_virtual_time() {
    #[circuit_breaker(failures = 1, open_for = "1h")]
    async fn fetch(is_up: bool) -> Result<(), Box<dyn std::error::Error>> {
        if is_up { Ok(()) } else { Err("down".into()) }
    }
    let is_rejected = |error: Box<dyn std::error::Error>| {
        matches!(error.downcast_ref(), Some(Error::CircuitOpen { .. }))
    };
    assert!(!is_rejected(fetch(false).await.unwrap_err()));
    advance(HOUR - MILLISECOND).await;
    assert!(is_rejected(fetch(true).await.unwrap_err()));
    advance(MILLISECOND).await;
    fetch(true).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_awaited_in_virtual_time() {
    #[concurrency(limit = 1, wait = "1h")]
    async fn run(length: Duration) -> Result<(), Error> {
        sleep(length).await;
        Ok(())
    }
    let first = tokio::spawn(run(2 * HOUR));
    tokio::task::yield_now().await;
    let second = takes(HOUR, run(MINUTE)).await;
    assert!(matches!(second, Err(Error::ConcurrencyExceeded { .. })));
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_clocks_of_the_system_follow_virtual_time() {
    for clock in [&SystemClock as &dyn Clock, &CoarseClock] {
        let before = clock.now();
        assert_eq!(clock.now(), before);
        takes(HOUR, clock.sleep_until(before + 3_600_000_000_000)).await;
        assert_eq!(clock.now() - before, 3_600_000_000_000);
    }
}

#[tokio::test]
async fn time_can_be_paused_after_limits_are_in_use() {
    #[throttle(algo = "token_bucket", rate = "1/h", burst = 1, wait)]
    async fn report() -> Result<(), Error> {
        Ok(())
    }
    let before = SystemClock.now();
    report().await.unwrap();
    pause();
    let began = Instant::now();
    report().await.unwrap();
    assert!((HOUR - SECOND..=HOUR + MILLISECOND).contains(&began.elapsed()));
    assert!(SystemClock.now() - before >= 3_600_000_000_000);
}

#[tokio::test]
async fn time_can_be_paused_during_a_wait() {
    let throttle = in_memory(Limit::token_bucket(1, HOUR)).wait();
    throttle.acquire_async("k").await.unwrap();
    let real = std::time::Instant::now();
    let waiter = tokio::spawn(async move { throttle.acquire_async("k").await });
    sleep(10 * MILLISECOND).await;
    pause();
    sleep(HOUR - SECOND).await;
    assert!(!waiter.is_finished());
    sleep(SECOND).await;
    assert!(waiter.is_finished());
    waiter.await.unwrap().unwrap();
    assert!(real.elapsed() < MINUTE);
}

#[tokio::test]
async fn time_that_was_advanced_and_resumed_goes_on_from_there() {
    let limit = Limit::token_bucket(1, HOUR);
    let throttle = in_memory(limit).wait();
    throttle.acquire_async("k").await.unwrap();
    pause();
    advance(HOUR - 50 * MILLISECOND).await;
    resume();
    assert!(!throttle.check("k").unwrap().allowed);
    let real = std::time::Instant::now();
    throttle.acquire_async("k").await.unwrap();
    assert!(real.elapsed() < MINUTE);
    assert!(throttle.peek("k").unwrap().retry_after > HOUR - MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_thread_outside_of_the_runtime_stays_in_real_time() {
    advance(HOUR).await;
    thread::spawn(|| {
        let throttle = in_memory(Limit::token_bucket(1, 50 * MILLISECOND)).wait();
        throttle.acquire("k").unwrap();
        let real = std::time::Instant::now();
        throttle.acquire("k").unwrap();
        assert!(real.elapsed() > 40 * MILLISECOND);
    })
    .join()
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sync_function_blocks_in_real_time() {
    #[throttle(quota = 1, duration = "50ms", algo = "fixed_window", wait)]
    fn report() -> Result<(), Error> {
        Ok(())
    }
    // Time that was advanced is not waited for again.
    advance(HOUR).await;
    let began = Instant::now();
    report().unwrap();
    let real = std::time::Instant::now();
    report().unwrap();
    assert!((50 * MILLISECOND..MINUTE).contains(&real.elapsed()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Async functions on this thread go on in virtual time.
    takes(
        HOUR,
        SystemClock.sleep_until(SystemClock.now() + 3_600_000_000_000),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn sync_retries_are_delayed_in_real_time() {
    #[retry(max = 3, strategy = "fixed", base = "20ms")]
    fn fail() -> Result<(), &'static str> {
        Err("no")
    }
    let real = std::time::Instant::now();
    fail().unwrap_err();
    assert!((40 * MILLISECOND..MINUTE).contains(&real.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_sync_timeout_is_in_real_time() {
    #[timeout("50ms")]
    fn slow(length: Duration) -> Result<(), Error> {
        thread::sleep(length);
        Ok(())
    }
    slow(Duration::ZERO).unwrap();
    let real = std::time::Instant::now();
    assert!(matches!(slow(30 * SECOND), Err(Error::Timeout { .. })));
    assert!((50 * MILLISECOND..20 * SECOND).contains(&real.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_manual_clock_keeps_its_own_time() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let throttle = Throttle::new("paused", Limit::token_bucket(1, HOUR))
        .with_config(handler)
        .wait();
    throttle.acquire_async("k").await.unwrap();
    let waiter = tokio::spawn(async move { throttle.acquire_async("k").await });
    sleep(10 * HOUR).await;
    assert!(!waiter.is_finished());
    clock.advance(HOUR);
    takes(Duration::ZERO, waiter).await.unwrap().unwrap();
}

#[test]
fn a_runtime_without_a_timer_waits_in_real_time() {
    let throttle = in_memory(Limit::token_bucket(1, 50 * MILLISECOND)).wait();
    let real = std::time::Instant::now();
    without_timer().block_on(async {
        for _ in 0..3 {
            throttle.acquire_async("k").await.unwrap();
        }
    });
    assert!((100 * MILLISECOND..MINUTE).contains(&real.elapsed()));
}

#[test]
fn a_runtime_without_a_timer_cannot_be_paused() {
    let runtime = Builder::new_current_thread().start_paused(true).build();
    let throttle = in_memory(Limit::token_bucket(1, 50 * MILLISECOND)).wait();
    let real = std::time::Instant::now();
    runtime.unwrap().block_on(async {
        for _ in 0..3 {
            throttle.acquire_async("k").await.unwrap();
        }
    });
    assert!((100 * MILLISECOND..MINUTE).contains(&real.elapsed()));
}

#[test]
fn another_runtime_stays_in_real_time() {
    let paused = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    paused.block_on(advance(HOUR));
    for real in [
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build(),
        Builder::new_current_thread().enable_time().build(),
    ] {
        let real = real.unwrap();
        let throttle = in_memory(Limit::token_bucket(1, 50 * MILLISECOND)).wait();
        let began = std::time::Instant::now();
        real.block_on(async move {
            tokio::spawn(async move {
                for _ in 0..3 {
                    throttle.acquire_async("k").await.unwrap();
                }
            })
            .await
            .unwrap();
        });
        assert!((100 * MILLISECOND..MINUTE).contains(&began.elapsed()));
    }
}

#[test]
fn a_sleep_can_move_between_runtimes() {
    let paused = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut slept = None;
    paused.block_on(async {
        let slept = slept.insert(SystemClock.sleep_until(SystemClock.now() + 100_000_000));
        let waited = tokio::time::timeout(10 * MILLISECOND, slept).await;
        assert!(waited.is_err());
    });
    drop(paused);
    let real = std::time::Instant::now();
    without_timer().block_on(slept.unwrap());
    assert!(real.elapsed() < MINUTE);
}
