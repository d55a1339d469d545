//! Limits on a clock that lags keep the promises of the documentation of `CoarseClock`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::clock::{Clock, CoarseClock, ManualClock, SystemClock};
use premier::{Limit, MemoryHandler, Throttle, throttle, timeout};
use premier_tests::waits::{eventually, within};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn coarse() -> MemoryHandler {
    MemoryHandler::builder().clock(CoarseClock).build()
}

/// 10,000 a second, with a burst of 5.
#[throttle(algo = "token_bucket", quota = 10_000, duration = 1, burst = 5)]
fn call() -> Result<(), premier::Error> {
    Ok(())
}

#[throttle(algo = "leaky_bucket", rate = "1000000/s")]
fn queued() -> Result<(), premier::Error> {
    Ok(())
}

#[timeout("20ms")]
async fn sleepy() -> Result<(), premier::Error> {
    std::future::pending().await
}

/// One test for all attributes, because a process is configured once.
#[tokio::test]
async fn attributes_decide_by_the_coarse_clock() {
    premier::config(coarse()).unwrap();

    // By the coarse clock the bound is exact, with four threads on one state.
    let (began, start) = (CoarseClock.now(), Instant::now());
    let (admitted, ticks) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (mut last, mut seen) = (began, 0);
                while start.elapsed() < SECOND / 5 {
                    let tick = CoarseClock.now();
                    let mine = (0..5).filter(|_| call().is_ok()).count();
                    admitted.fetch_add(mine as u64, Ordering::Relaxed);
                    // A tick that ends before a thread had the time for a burst does not count.
                    if tick > last && CoarseClock.now() == tick {
                        seen += 1;
                        last = tick;
                    }
                }
                ticks.fetch_max(seen, Ordering::Relaxed);
            });
        }
    });
    let passed = CoarseClock.now() - began;
    let (admitted, most) = (admitted.into_inner(), 5 + passed / 100_000);
    assert!(admitted <= most, "{admitted} of {most}");
    // Each tick refills the burst, because ticks are at least a millisecond apart.
    let ticks = ticks.into_inner();
    assert!(ticks > 1);
    assert!(admitted >= 5 * (ticks - 1), "{admitted} in {ticks} ticks");

    // A slot of a leaky bucket can come within one tick.
    let within_a_tick = (0..10_000).any(|_| {
        let tick = CoarseClock.now();
        let first = queued();
        let then = SystemClock.now();
        while SystemClock.now() < then + 2_000 {}
        let start = Instant::now();
        let second = queued();
        let took = start.elapsed();
        first.is_ok()
            && second.is_ok()
            && took < Duration::from_micros(100)
            && CoarseClock.now() == tick
    });
    assert!(within_a_tick);

    // A timeout uses the precise clock, so it is never early by a tick.
    for _ in 0..5 {
        let start = Instant::now();
        let timed = within("the timeout ends the call", sleepy()).await;
        assert!(timed.is_err());
        assert!(start.elapsed() >= SECOND / 50, "{:?}", start.elapsed());
    }
}

#[test]
fn waiting_threads_are_admitted_at_the_rate() {
    let throttle =
        Throttle::new("waiting", Limit::token_bucket(1, SECOND / 500)).with_config(coarse());
    let waiting = throttle.wait();
    let began = CoarseClock.now();
    for _ in 0..=50 {
        waiting.acquire("one").unwrap();
    }
    let passed = CoarseClock.now() - began;
    assert!(passed >= 100_000_000, "{passed}");
}

/// A leaky bucket among several limits uses the slots that pass within a tick.
#[test]
fn a_leaky_bucket_among_other_limits_admits_at_its_rate() {
    let limits = [
        Limit::token_bucket(1_000_000, SECOND),
        Limit::leaky_bucket(2_000, SECOND),
    ];
    let throttle = Throttle::all("both", &limits).with_config(coarse());
    // One slot per tick would always take 100 ms with ticks of 1 ms, and 400 ms with ticks of 4 ms. On a busy
    // machine the threads that wait wake up late, but not every time.
    eventually("100 calls take less than 95 ms", || {
        let start = Instant::now();
        for _ in 0..100 {
            throttle.acquire("one").unwrap();
        }
        start.elapsed() < Duration::from_millis(95)
    });
}

#[tokio::test]
async fn waiting_tasks_are_admitted_at_the_rate() {
    let throttle =
        Throttle::new("awaiting", Limit::fixed_window(1, SECOND / 50)).with_config(coarse());
    let waiting = throttle.wait();
    let began = CoarseClock.now();
    for _ in 0..=5 {
        waiting.acquire_async("one").await.unwrap();
    }
    let passed = CoarseClock.now() - began;
    assert!(passed >= 80_000_000, "{passed}");
}

#[tokio::test]
async fn a_sleep_ends_when_the_coarse_clock_shows_its_deadline() {
    for nanos in [1, 1_000_000, 7_000_000] {
        let deadline = CoarseClock.now() + nanos;
        CoarseClock.sleep_until(deadline).await;
        assert!(CoarseClock.now() >= deadline);
        CoarseClock.sleep(Duration::from_nanos(nanos));
    }
}

proptest! {
    /// Any interval admits at most as many calls as an interval longer by the lag may.
    #[test]
    fn a_lagging_clock_admits_at_most_the_units_of_its_lag_more(
        burst in 1..6_u64,
        interval in 1..50_u64,
        lag in 0..200_u64,
        calls in prop::collection::vec((0..60_u64, 0..=200_u64), 1..120),
    ) {
        let clock = ManualClock::new();
        let handler = MemoryHandler::builder().clock(clock.clone()).build();
        let limit = Limit::token_bucket(1, Duration::from_nanos(1_000 * interval)).burst(burst);
        let throttle = Throttle::new("late", limit).with_config(handler);
        let (mut now, mut shown) = (1_000, 1_000);
        let mut admitted = Vec::new();
        for (gap, late) in calls {
            now += gap;
            // The clock never goes back and stays within the lag.
            let next = shown.max(now.saturating_sub(late.min(lag)));
            clock.advance(Duration::from_nanos(1_000 * (next - shown)));
            shown = next;
            if throttle.check("one").unwrap().allowed {
                admitted.push(now);
            }
        }
        for (first, from) in admitted.iter().enumerate() {
            for (last, to) in admitted.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                let most = burst + (to - from + lag) / interval;
                prop_assert!(count <= most, "{} of {} from {} to {}", count, most, from, to);
            }
        }
    }
}
