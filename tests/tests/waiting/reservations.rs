//! A waiter that leaves returns its reservation: no slot is lost, no wake-up is missed, and premier
//! holds no lock while it runs the user's code.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{
    Config, Decision, Error, Handler, Limit, MemoryHandler, Operation, Request, Throttle,
};
use premier_tests::manual;
use premier_tests::waits::{done, finishes, joined, received, sleepers};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{self, JoinHandle};

const SECOND: Duration = Duration::from_secs(1);

/// Lets all tasks of the current-thread runtime run until they are blocked.
async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

/// Starts one waiter for each cost, in this order. Each sends its index and the time when it is
/// admitted.
async fn waiters(
    clock: &ManualClock,
    throttle: &Throttle,
    costs: &[u64],
) -> (Vec<JoinHandle<()>>, UnboundedReceiver<(usize, Duration)>) {
    let (done, order) = unbounded_channel();
    let mut tasks = Vec::new();
    for (index, &cost) in costs.iter().enumerate() {
        let (throttle, done, clock) = (throttle.cost(cost), done.clone(), clock.clone());
        tasks.push(task::spawn(async move {
            throttle.acquire_async("k").await.unwrap();
            done.send((index, Duration::from_nanos(clock.now())))
                .unwrap();
        }));
        settle().await;
    }
    (tasks, order)
}

/// Advances the clock by 30 s, half a second at a time. Returns the admitted waiters and their
/// times in seconds.
async fn run(
    clock: &ManualClock,
    order: &mut UnboundedReceiver<(usize, Duration)>,
) -> Vec<(usize, f64)> {
    let mut ran = Vec::new();
    for _ in 0..60 {
        settle().await;
        while let Ok((index, at)) = order.try_recv() {
            ran.push((index, at.as_secs_f64()));
        }
        clock.advance(SECOND / 2);
    }
    ran
}

#[tokio::test]
async fn slots_of_different_lengths_move_up_when_a_waiter_leaves() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(20));
    throttle.acquire("k").unwrap();
    // Slots begin at 1, 3, 4 and 7 s; the next is free at 8 s.
    let (tasks, mut order) = waiters(&clock, &throttle, &[2, 1, 3, 1]).await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 8 * SECOND);
    tasks[0].abort();
    settle().await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 6 * SECOND);
    tasks[2].abort();
    settle().await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 3 * SECOND);
    assert_eq!(run(&clock, &mut order).await, [(1, 1.0), (3, 2.0)]);
}

#[tokio::test]
async fn a_freed_slot_between_two_others_goes_to_a_waiter_of_its_length() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(20));
    throttle.acquire("k").unwrap();
    let (first, _first_order) = waiters(&clock, &throttle, &[2]).await;
    // `check` reserves the slot at 3 s and does not wait for it.
    assert_eq!(throttle.check("k").unwrap().delay, 3 * SECOND);
    let (_rest, mut order) = waiters(&clock, &throttle, &[2, 1]).await;
    first[0].abort();
    settle().await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 5 * SECOND);
    assert_eq!(run(&clock, &mut order).await, [(0, 1.0), (1, 4.0)]);
}

#[tokio::test]
async fn a_waiter_returns_its_slots_of_all_limits() {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let limits = [
        Limit::leaky_bucket(2, SECOND).bucket_size(20),
        Limit::leaky_bucket(1, SECOND).bucket_size(20),
    ];
    let throttle = Throttle::all("group", &limits).with_config(handler);
    throttle.acquire("k").unwrap();
    let (tasks, mut order) = waiters(&clock, &throttle, &[1, 1, 1]).await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 4 * SECOND);
    tasks[0].abort();
    tasks[2].abort();
    settle().await;
    assert_eq!(throttle.peek("k").unwrap().reset_after, 2 * SECOND);
    assert_eq!(run(&clock, &mut order).await, [(1, 1.0)]);
    let fresh = throttle.peek("k").unwrap();
    assert_eq!(fresh.reset_after, Duration::ZERO, "{fresh:?}");
}

/// A future that is kept without being polled holds its own slot, not those of other waiters.
#[tokio::test]
async fn a_waiter_that_is_not_polled_delays_no_other_waiter() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND));
    throttle.acquire("k").unwrap();
    let mut kept = Box::pin(throttle.acquire_async("k"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(kept.as_mut().poll(&mut context).is_pending());
    let second = task::spawn({
        let throttle = throttle.clone();
        async move { throttle.acquire_async("k").await.unwrap() }
    });
    settle().await;
    clock.advance(2 * SECOND);
    settle().await;
    assert!(second.is_finished());
    assert!(kept.as_mut().poll(&mut context).is_ready());
}

/// A handler that resets the key between its first denial and the return of that denial.
#[derive(Debug)]
struct ResetAfterDenial {
    memory: MemoryHandler,
    throttle: OnceLock<Throttle>,
    done: AtomicBool,
}

#[derive(Clone, Debug)]
struct Shared(Arc<ResetAfterDenial>);

impl Handler for Shared {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let decision = self.0.memory.handle(request)?;
        if !decision.allowed
            && matches!(request.operation, Operation::Take(_))
            && !self.0.done.swap(true, Ordering::SeqCst)
        {
            self.0.throttle.get().unwrap().reset("k")?;
        }
        Ok(decision)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        self.0.memory.clear(keyspace)
    }
}

#[test]
fn a_reset_between_a_denial_and_the_wait_is_not_missed() {
    let handler = Shared(Arc::new(ResetAfterDenial {
        memory: MemoryHandler::new(),
        throttle: OnceLock::new(),
        done: AtomicBool::new(false),
    }));
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let throttle = Throttle::new("race", limit).with_config(handler.clone());
    handler.0.throttle.set(throttle.clone()).unwrap();
    throttle.acquire("k").unwrap();
    let patient = throttle.wait_at_most(3_600 * SECOND);
    let waiter = thread::spawn(move || patient.acquire("k"));
    let acquired = joined("the waiter is notified of the reset", waiter).unwrap();
    acquired.unwrap();
}

#[tokio::test]
async fn behind_a_waiter_a_cost_beyond_the_capacity_fails_at_once_and_a_cost_of_zero_is_admitted() {
    let (_clock, throttle) = manual(Limit::token_bucket(2, SECOND));
    throttle.cost(2).acquire("k").unwrap();
    let head = throttle.wait();
    let _head = task::spawn(async move { head.acquire_async("k").await });
    settle().await;
    let never = throttle.cost(3).wait();
    assert!(matches!(
        never.acquire("k"),
        Err(Error::CostExceedsCapacity { cost: 3, .. })
    ));
    throttle.cost(0).wait().acquire("k").unwrap();
}

/// A waiter for room in a full queue must also wait for the whole queue ahead of it.
#[tokio::test]
async fn the_wait_for_a_full_queue_includes_the_queue_itself() {
    let (clock, throttle) = manual(Limit::leaky_bucket(1, SECOND).bucket_size(3));
    for _ in 0..4 {
        assert!(throttle.check("k").unwrap().allowed);
    }
    // The queue has room after 1 s, and a slot in it takes 3 s more.
    let longest = 4 * SECOND;
    let error = throttle
        .wait_at_most(longest - Duration::from_nanos(1))
        .acquire_async("k")
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(longest));
    assert_eq!(clock.sleepers(), 0);
    let patient = throttle.wait_at_most(longest);
    let patient = task::spawn(async move { patient.acquire_async("k").await });
    for _ in 0..4 {
        settle().await;
        assert!(!patient.is_finished());
        clock.advance(SECOND);
    }
    settle().await;
    assert!(
        done("the waiter with enough time ends", patient)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn in_a_sliding_window_a_wait_that_cannot_succeed_fails_at_once() {
    let (_clock, throttle) = manual(Limit::sliding_window(1, SECOND));
    throttle.acquire("k").unwrap();
    let head = throttle.wait();
    let _head = task::spawn(async move { head.acquire_async("k").await });
    settle().await;
    let behind = throttle.wait_at_most(3 * SECOND / 2);
    assert!(behind.acquire_async("k").await.is_err());
}

#[tokio::test]
async fn tasks_behind_the_head_of_the_queue_count_as_sleepers() {
    let (clock, throttle) = manual(Limit::fixed_window(1, SECOND));
    let throttle = throttle.wait();
    throttle.acquire("k").unwrap();
    for _ in 0..3 {
        let throttle = throttle.clone();
        task::spawn(async move { throttle.acquire_async("k").await });
    }
    settle().await;
    finishes("three sleep on the clock", {
        let clock = clock.clone();
        move || clock.wait_for_sleepers(3)
    });
    assert_eq!(clock.sleepers(), 3);
}

/// A step back delays new calls at most by the length of the step, and sleeping waiters not at all.
#[tokio::test]
async fn a_clock_that_steps_back_prolongs_no_wait() {
    let (clock, throttle) = manual(Limit::fixed_window(1, SECOND));
    clock.set(100 * SECOND);
    let throttle = throttle.wait();
    throttle.acquire("k").unwrap();
    let waiter = task::spawn({
        let throttle = throttle.clone();
        async move { throttle.acquire_async("k").await }
    });
    settle().await;
    clock.set(50 * SECOND);
    settle().await;
    clock.advance(SECOND);
    settle().await;
    assert!(waiter.is_finished());

    // A thread waits in the same way, behind the task that was just admitted.
    let thread = thread::spawn({
        let throttle = throttle.clone();
        move || throttle.acquire("k")
    });
    sleepers(&clock, 1);
    clock.set(10 * SECOND);
    sleepers(&clock, 1);
    clock.advance(SECOND);
    assert!(joined("the thread ends", thread).unwrap().is_ok());
}

/// A waker that calls premier when it is dropped. A waker that owns the last handle of a task may.
struct CallsWhenDropped(Throttle);

impl Wake for CallsWhenDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for CallsWhenDropped {
    fn drop(&mut self) {
        let patient = self.0.wait_at_most(Duration::from_nanos(1));
        assert!(patient.acquire("k").is_err());
    }
}

#[test]
fn no_lock_is_held_while_a_waker_is_dropped() {
    let (clock, throttle) = manual(Limit::fixed_window(1, SECOND));
    throttle.acquire("k").unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for _ in 0..2 {
            let patient = throttle.wait();
            let mut first = Box::pin(patient.acquire_async("k"));
            let mut second = Box::pin(patient.acquire_async("k"));
            for _ in 0..2 {
                // Each poll replaces the waker of the previous poll.
                let waker = Waker::from(Arc::new(CallsWhenDropped(throttle.clone())));
                let mut context = Context::from_waker(&waker);
                for call in [&mut first, &mut second] {
                    assert!(matches!(call.as_mut().poll(&mut context), Poll::Pending));
                }
            }
        }
        done.send(()).unwrap();
    });
    received("no waker is dropped under a lock", &ended);
    drop(clock);
}

#[test]
fn a_throttle_with_an_invalid_configuration_returns_a_config_error() {
    let config = Config::new(MemoryHandler::new()).keyspace("a:b");
    let throttle = Throttle::new("x", Limit::fixed_window(1, SECOND)).with_config(config);
    assert!(matches!(throttle.check("k"), Err(Error::Config { .. })));
    let five = [Limit::leaky_bucket(1, SECOND); 5];
    let throttle = Throttle::all("x", &five).with_config(MemoryHandler::new());
    assert!(matches!(throttle.check("k"), Err(Error::Config { .. })));
}

/// Earlier values of a limit must leave nothing behind.
#[test]
fn a_limit_that_changed_often_decides_no_slower() {
    let (clock, mut throttle) = manual(Limit::token_bucket(1, SECOND));
    for quota in 1..2_000 {
        throttle = throttle.with_limit(Limit::token_bucket(quota, SECOND));
        throttle.acquire("k").unwrap();
        clock.advance(SECOND);
    }
    let start = std::time::Instant::now();
    for key in 0..20_000 {
        throttle.acquire(&key).unwrap();
    }
    // A sweep for each earlier value of the limit took minutes.
    assert!(start.elapsed() < 10 * SECOND, "{:?}", start.elapsed());
}
