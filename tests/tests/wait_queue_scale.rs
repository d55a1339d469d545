//! Queues of 80,000 waiters: joining, leaving and moving up stay cheap for each waiter.
//!
//! The bounds allow for slow machines and builds without optimisation. A queue that visits all
//! waiters for each of them takes minutes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use premier::{Error, Limit, Permit, Throttle};
use premier_tests::manual;

const SECOND: Duration = Duration::from_secs(1);
const CROWD: usize = 80_000;
const BOUND: Duration = Duration::from_secs(40);

type Call = Pin<Box<dyn Future<Output = Result<Permit, Error>> + Send>>;

/// Runs a test with each limit on another thread, one at a time, and fails as soon as it takes too long.
fn bounded(test: fn(Limit)) {
    static TURN: Mutex<()> = Mutex::new(());
    for limit in limits() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        bounded_for(limit, test);
    }
}

fn bounded_for(limit: Limit, test: fn(Limit)) {
    let start = Instant::now();
    let test = thread::spawn(move || test(limit));
    while !test.is_finished() {
        assert!(start.elapsed() < BOUND, "waiters cost too much");
        thread::sleep(Duration::from_millis(1));
    }
    test.join().unwrap();
}

fn poll(call: &mut Call) -> Poll<Result<Permit, Error>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Starts 80,000 calls that all wait.
fn crowd(throttle: &Throttle) -> Vec<Call> {
    (0..CROWD)
        .map(|_| {
            let throttle = throttle.clone();
            let mut call: Call = Box::pin(async move { throttle.acquire_async("k").await });
            assert!(poll(&mut call).is_pending());
            call
        })
        .collect()
}

/// A limit whose waiters form a queue and two whose waiters hold slots.
fn limits() -> [Limit; 3] {
    [
        Limit::fixed_window(1, SECOND),
        Limit::token_bucket(1, SECOND),
        Limit::leaky_bucket(1, SECOND).bucket_size(1_000_000),
    ]
}

#[test]
fn waiters_join_and_leave_from_either_end_cheaply() {
    bounded(|limit| {
        let (clock, throttle) = manual(limit);
        let throttle = throttle.wait();
        throttle.acquire("k").unwrap();
        let calls = crowd(&throttle);
        assert_eq!(clock.sleepers(), CROWD);
        drop(calls);
        assert_eq!(clock.sleepers(), 0);
        crowd(&throttle).into_iter().rev().for_each(drop);
        assert_eq!(throttle.peek("k").unwrap().reset_after, SECOND);
    });
}

#[test]
fn waiters_leave_from_the_middle_cheaply_while_others_stay() {
    bounded(|limit| {
        let (clock, throttle) = manual(limit);
        let throttle = throttle.wait();
        throttle.acquire("k").unwrap();
        let mut stay = crowd(&throttle);
        let leave = stay.split_off(10);
        let last = throttle.clone();
        let mut last: Call = Box::pin(async move { last.acquire_async("k").await });
        assert!(poll(&mut last).is_pending());
        stay.push(last);
        drop(leave);
        for mut call in stay {
            assert!(poll(&mut call).is_pending());
            clock.advance(SECOND);
            assert!(poll(&mut call).is_ready());
        }
        assert_eq!(clock.sleepers(), 0);
    });
}

#[test]
fn many_waiting_tasks_are_cancelled_cheaply() {
    bounded(|limit| {
        let (clock, throttle) = manual(limit);
        let throttle = throttle.wait();
        throttle.acquire("k").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..CROWD)
                .map(|_| {
                    let throttle = throttle.clone();
                    tokio::spawn(async move { throttle.acquire_async("k").await })
                })
                .collect();
            clock.wait_for_sleepers(CROWD);
            // Both threads cancel at the same time, and the slots still return to the bucket in
            // order.
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                assert!(task.await.is_err());
            }
        });
        assert_eq!(throttle.peek("k").unwrap().reset_after, SECOND);
    });
}
