//! Sync and async callers on one connection, waiting, and calls that are dropped.

use std::thread;
use std::time::{Duration, Instant};

use premier::{Limit, Throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, eventually_async, joined, within};

use super::{SECOND, config};

/// Threads, tasks, and sync calls inside a runtime all use one connection.
#[tokio::test]
async fn sync_and_async_calls_share_one_connection() {
    let server = Server::start();
    let throttle =
        Throttle::new("mixed", Limit::fixed_window(3, 60 * SECOND)).with_config(config(&server));
    assert!(throttle.check("k").unwrap().allowed);
    assert!(throttle.check_async("k").await.unwrap().allowed);
    let thread = thread::spawn({
        let throttle = throttle.clone();
        move || throttle.check("k").unwrap().allowed
    });
    assert!(joined("the thread ends", thread).unwrap());
    assert!(!throttle.check("k").unwrap().allowed);
}

#[tokio::test]
async fn dropped_waiters_return_their_units() {
    let server = Server::start();
    let limit = Limit::leaky_bucket(1, 60 * SECOND).bucket_size(3);
    let throttle = Throttle::new("queue", limit).with_config(config(&server));
    throttle.acquire_async("k").await.unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.acquire_async("k").await })
        })
        .collect();
    let remaining = async || throttle.peek_async("k").await.unwrap().remaining;
    eventually_async("all slots are taken", async || remaining().await == 0).await;
    // A waiter that is dropped before it knows its slot does not return it while others are behind it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    waiters[1].abort();
    eventually_async("one slot is free", async || remaining().await == 1).await;
    waiters.iter().for_each(tokio::task::JoinHandle::abort);
    eventually_async("three slots are free", async || remaining().await == 3).await;

    // Drops a call at many points of its execution.
    let limit = Limit::token_bucket(1_000, 3_600 * SECOND);
    let throttle = Throttle::new("cut", limit).with_config(config(&server));
    let _ = throttle.peek_async("k").await.unwrap();
    let (mut completed, mut cut) = (0, 0);
    for round in 0..400_u64 {
        let mut call = Box::pin(throttle.acquire_async("k"));
        let began = Instant::now();
        let done = loop {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if call.as_mut().poll(&mut context).is_ready() {
                break true;
            }
            if began.elapsed() >= Duration::from_micros(round) {
                break false;
            }
        };
        completed += u64::from(done);
        cut += u64::from(!done);
    }
    assert!(cut > 20, "{cut} of 400 were cut off");
    let what = format!("units are taken for {completed} calls only, {cut} were cut off");
    eventually_async(&what, async || {
        let taken = 1_000 - throttle.peek_async("k").await.unwrap().remaining;
        assert!(taken >= completed, "{taken} were taken: {what}");
        taken <= completed + 2
    })
    .await;
}

/// A dropped call returns its unit, but not to a later window than it took it from.
#[tokio::test]
async fn a_call_dropped_after_its_window_adds_nothing_to_the_next_window() {
    let server = Server::start();
    // Longer than a busy machine takes for the calls in the second window.
    let period = 2 * SECOND;
    for (limit, name) in [
        (Limit::fixed_window(3, period), "fixed"),
        (Limit::sliding_log(3, period), "log"),
    ] {
        let throttle = Throttle::new(name, limit).with_config(config(&server));
        let mut call = Box::pin(throttle.check_async("k"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        let key = format!(":{name}:");
        eventually("the call is decided", || {
            server.keys().iter().any(|stored| stored.contains(&key))
        });
        // The task does not poll the call until a new window has begun.
        thread::sleep(period + Duration::from_millis(50));
        for _ in 0..3 {
            assert!(throttle.check("k").unwrap().allowed, "{name}");
        }
        drop(call);
        thread::sleep(Duration::from_millis(50));
        assert!(!throttle.check("k").unwrap().allowed, "{name}");
    }
}

#[tokio::test]
async fn waiters_are_admitted_in_order_and_at_the_rate_without_polling() {
    let server = Server::start();
    let limit = Limit::token_bucket(20, SECOND).burst(1);
    let throttle = Throttle::new("wait", limit)
        .with_config(config(&server))
        .wait();
    let started = std::time::Instant::now();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for index in 0..8 {
        let (throttle, done) = (throttle.clone(), done.clone());
        tokio::spawn(async move {
            throttle.acquire_async("k").await.unwrap();
            done.send(index).unwrap();
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for expected in 0..8 {
        let next = within("the next is admitted", order.recv()).await;
        assert_eq!(next, Some(expected));
    }
    assert!(
        started.elapsed() >= Duration::from_millis(349),
        "{:?}",
        started.elapsed()
    );
    let calls = server.command(&["INFO", "commandstats"]);
    let calls: u32 = calls
        .split("cmdstat_evalsha:calls=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .and_then(|calls| calls.parse().ok())
        .unwrap();
    assert!(calls <= 30, "{calls} calls for 8 admissions are polling");
}
