//! Waiting is first come, first served, safe to cancel, bounded, and driven by the handler's clock.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Error, Limit, MemoryHandler, Throttle};
use premier_tests::manual;
use premier_tests::waits::{LONGEST, done, eventually, joined, sleepers};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task;

const SECOND: Duration = Duration::from_secs(1);

/// Lets all tasks of the current-thread runtime run until they are blocked.
async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

#[test]
fn a_thread_waits_until_it_is_admitted() {
    let (clock, throttle) = manual(Limit::fixed_window(1, 10 * SECOND));
    throttle.acquire("k").unwrap();
    let waiter = thread::spawn({
        let throttle = throttle.wait();
        move || throttle.acquire("k")
    });
    sleepers(&clock, 1);
    clock.advance(10 * SECOND - Duration::from_nanos(1));
    sleepers(&clock, 1);
    assert!(!waiter.is_finished());
    clock.advance(Duration::from_nanos(1));
    let permit = joined("the waiter ends", waiter).unwrap().unwrap();
    assert_eq!(permit.waited(), 10 * SECOND);
}

#[test]
fn threads_are_admitted_in_the_order_of_their_arrival() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
        Algo::LeakyBucket,
    ] {
        let (clock, throttle) = manual(Limit::new(algo, 1, SECOND));
        let throttle = throttle.wait();
        throttle.acquire("k").unwrap();
        let (done, order) = mpsc::channel();
        let waiters: Vec<_> = (0..5)
            .map(|index| {
                let (throttle, done) = (throttle.clone(), done.clone());
                let waiter = thread::spawn(move || {
                    throttle.acquire("k").unwrap();
                    done.send(index).unwrap();
                });
                // A thread has its position in the queue once it sleeps.
                sleepers(&clock, index + 1);
                waiter
            })
            .collect();
        for expected in 0..5 {
            let mut next = None;
            eventually("the next thread is admitted", || {
                next = order.try_recv().ok();
                // A thread that was woken ends its call before time goes on.
                if next.is_none() && clock.sleepers() == 5 - expected {
                    clock.advance(SECOND / 10);
                }
                next.is_some()
            });
            assert_eq!(next, Some(expected), "{algo}");
        }
        waiters
            .into_iter()
            .for_each(|waiter| joined("the waiter ends", waiter).unwrap());
    }
}

#[tokio::test]
async fn tasks_are_admitted_in_order_and_one_interval_apart() {
    let (clock, throttle) = manual(Limit::token_bucket(2, SECOND).burst(1));
    let throttle = throttle.wait();
    let (done, mut order) = unbounded_channel();
    for index in 0..4 {
        let (throttle, done) = (throttle.clone(), done.clone());
        task::spawn(async move {
            throttle.acquire_async("k").await.unwrap();
            done.send(index).unwrap();
        });
        settle().await;
    }
    assert_eq!(order.try_recv(), Ok(0));
    for index in 1..4 {
        clock.advance(SECOND / 2 - Duration::from_nanos(1));
        settle().await;
        assert!(order.try_recv().is_err());
        clock.advance(Duration::from_nanos(1));
        settle().await;
        assert_eq!(order.try_recv(), Ok(index));
    }
}

#[tokio::test]
async fn a_wait_that_cannot_succeed_fails_at_once() {
    let (clock, throttle) = manual(Limit::token_bucket(1, SECOND));
    throttle.acquire("k").unwrap();
    let error = throttle
        .wait_at_most(SECOND / 2)
        .acquire_async("k")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::QuotaExceeded { retry_after, .. } if retry_after == SECOND));
    assert_eq!(clock.sleepers(), 0);

    // Behind two other waiters the wait would take three seconds.
    for _ in 0..2 {
        let throttle = throttle.wait();
        task::spawn(async move { throttle.acquire_async("k").await });
        settle().await;
    }
    let error = throttle
        .wait_at_most(2 * SECOND)
        .acquire_async("k")
        .await
        .unwrap_err();
    assert!(
        error.retry_after().is_some_and(|after| after > 2 * SECOND),
        "{error:?}"
    );
    let patient = throttle.wait_at_most(3 * SECOND);
    let patient = task::spawn(async move { patient.acquire_async("k").await });
    settle().await;
    for _ in 0..3 {
        assert!(!patient.is_finished());
        clock.advance(SECOND);
        settle().await;
    }
    assert!(
        done("the waiter with enough time ends", patient)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_maximum_wait_ends_behind_a_waiter_that_is_never_admitted() {
    let (clock, throttle) = manual(Limit::fixed_window(2, SECOND));
    throttle.cost(2).acquire("k").unwrap();
    let big = throttle.cost(2).wait();
    let big = task::spawn(async move { big.acquire_async("k").await });
    settle().await;
    let small = throttle.wait_at_most(3 * SECOND / 2);
    // This waiter would need the window after next, which is too late.
    assert!(small.acquire_async("k").await.is_err());
    // Calls that do not wait take a unit of each window, so the head never has two.
    let small = throttle.wait_at_most(5 * SECOND / 2);
    let small = task::spawn(async move { small.acquire_async("k").await });
    settle().await;
    for _ in 0..3 {
        clock.set(Duration::from_nanos(
            clock_now(&clock) + SECOND.as_nanos() as u64,
        ));
        let _ = throttle.check("k").unwrap();
        settle().await;
    }
    assert!(matches!(
        done("the waiter with the small cost ends", small).await,
        Err(Error::QuotaExceeded { .. })
    ));
    assert!(!big.is_finished());
}

fn clock_now(clock: &ManualClock) -> u64 {
    premier::clock::Clock::now(clock)
}

#[tokio::test]
async fn a_dropped_waiter_takes_nothing_and_delays_no_other_waiter() {
    for algo in [
        Algo::FixedWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
        Algo::LeakyBucket,
    ] {
        let (clock, throttle) = manual(Limit::new(algo, 1, SECOND).into_queue_of(4));
        let throttle = throttle.wait();
        throttle.acquire("k").unwrap();
        let (done, mut order) = unbounded_channel();
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let (throttle, done) = (throttle.clone(), done.clone());
                task::spawn(async move {
                    throttle.acquire_async("k").await.unwrap();
                    done.send(index).unwrap();
                })
            })
            .collect();
        settle().await;
        // The head and a waiter in the middle leave, and the others move up.
        tasks[0].abort();
        tasks[2].abort();
        settle().await;
        for index in [1, 3] {
            clock.advance(SECOND);
            settle().await;
            assert_eq!(order.try_recv(), Ok(index), "{algo}");
            assert!(order.try_recv().is_err(), "{algo}");
        }
        let after = throttle.peek("k").unwrap();
        assert!(after.reset_after <= SECOND, "{algo}: {after:?}");
    }
}

trait IntoQueue {
    fn into_queue_of(self, size: u64) -> Self;
}

impl IntoQueue for Limit {
    fn into_queue_of(self, size: u64) -> Self {
        if self.algo() == Algo::LeakyBucket {
            self.bucket_size(size)
        } else {
            self
        }
    }
}

#[tokio::test]
async fn threads_and_tasks_share_the_queue_of_a_leaky_bucket() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(2));
    assert!(throttle.acquire("k").unwrap().waited().is_zero());
    let thread = thread::spawn({
        let throttle = throttle.clone();
        move || throttle.acquire("k").unwrap().waited()
    });
    sleepers(&clock, 1);
    let task = task::spawn({
        let throttle = throttle.clone();
        async move { throttle.acquire_async("k").await.unwrap().waited() }
    });
    settle().await;
    let full = throttle.acquire_async("k").await.unwrap_err();
    assert!(matches!(full, Error::BucketFull { retry_after, .. } if retry_after == SECOND));
    clock.advance(SECOND);
    assert_eq!(joined("the thread ends", thread).unwrap(), SECOND);
    settle().await;
    assert!(!task.is_finished());
    clock.advance(SECOND);
    assert_eq!(done("the task ends", task).await, 2 * SECOND);
}

#[tokio::test]
async fn a_caller_may_wait_for_room_in_a_full_queue() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(0));
    throttle.acquire("k").unwrap();
    assert!(throttle.wait_at_most(SECOND / 2).acquire("k").is_err());
    let waiter = throttle.wait_at_most(SECOND);
    let waiter = task::spawn(async move { waiter.acquire_async("k").await });
    settle().await;
    clock.advance(SECOND);
    settle().await;
    assert!(done("the waiter ends", waiter).await.is_ok());
}

#[tokio::test]
async fn a_refund_or_a_reset_wakes_a_waiter() {
    let (_clock, throttle) = manual(Limit::fixed_window(1, 3_600 * SECOND));
    throttle.acquire("k").unwrap();
    for give_back in [|t: &Throttle| t.refund("k", 1), |t: &Throttle| t.reset("k")] {
        let waiter = throttle.wait();
        let waiter = task::spawn(async move { waiter.acquire_async("k").await });
        settle().await;
        assert!(!waiter.is_finished());
        give_back(&throttle).unwrap();
        settle().await;
        assert!(done("the waiter ends", waiter).await.is_ok());
    }
}

#[test]
fn an_auto_advancing_clock_ends_waits_without_a_second_thread() {
    let clock = ManualClock::auto_advancing();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let throttle = Throttle::new("auto", Limit::token_bucket(1, SECOND))
        .with_config(handler)
        .wait();
    for _ in 0..3_601 {
        throttle.acquire("k").unwrap();
    }
    assert_eq!(clock_now(&clock), 3_600 * SECOND.as_nanos() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_on_the_real_clock_are_all_admitted_at_the_rate() {
    let limit = Limit::token_bucket(1_000, SECOND).burst(1);
    let throttle = Throttle::new("many", limit)
        .with_config(MemoryHandler::new())
        .wait();
    let start = std::time::Instant::now();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let throttle = throttle.clone();
            task::spawn(async move { throttle.acquire_async("k").await.unwrap() })
        })
        .collect();
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let throttle = throttle.clone();
            thread::spawn(move || throttle.acquire("k").unwrap())
        })
        .collect();
    for task in tasks {
        done("the task ends", task).await;
    }
    threads.into_iter().for_each(|thread| {
        joined("the thread ends", thread).unwrap();
    });
    assert!(
        start.elapsed() >= Duration::from_millis(219),
        "{:?}",
        start.elapsed()
    );
}

/// A limiter must not panic because the runtime has no timer.
#[test]
fn an_async_wait_ends_in_a_tokio_runtime_without_a_timer() {
    let limit = Limit::leaky_bucket(100, SECOND);
    let throttle = Throttle::new("bare", limit).with_config(MemoryHandler::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            throttle.acquire_async("k").await.unwrap();
        }
    });
}

/// Outside tokio, premier's timer thread wakes the task.
#[test]
fn an_async_wait_ends_without_tokio() {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let limit = Limit::leaky_bucket(100, SECOND);
    let throttle = Throttle::new("bare", limit).with_config(MemoryHandler::new());
    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let start = std::time::Instant::now();
    for _ in 0..5 {
        let mut call = std::pin::pin!(throttle.acquire_async("k"));
        while call.as_mut().poll(&mut context).is_pending() {
            assert!(start.elapsed() < LONGEST, "waited in vain for a slot");
            thread::park_timeout(LONGEST);
        }
    }
    assert!(start.elapsed() >= Duration::from_millis(40));
}
