//! Units returned after their window has ended must not be added to the next window, in memory and
//! on Redis.
#![forbid(unsafe_code)]

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Config, Limit, MemoryHandler, Throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{cancelled, eventually_async};
use tokio::task;

const SECOND: Duration = Duration::from_secs(1);

/// The number of scripts that a server has run.
fn scripts(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="]
        .iter()
        .filter_map(|name| {
            stats
                .split(name)
                .nth(1)?
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum()
}

struct Store {
    clock: ManualClock,
    config: Config,
    server: Option<Server>,
}

impl Store {
    fn memory() -> Self {
        let clock = ManualClock::new();
        let memory = MemoryHandler::builder().clock(clock.clone()).build();
        Self {
            clock,
            config: memory.into(),
            server: None,
        }
    }

    fn redis() -> Self {
        let (clock, server) = (ManualClock::new(), Server::start());
        let redis = server.builder().clock(clock.clone()).build().unwrap();
        Self {
            clock,
            config: redis.into(),
            server: Some(server),
        }
    }

    fn both() -> [Self; 2] {
        [Self::memory(), Self::redis()]
    }

    /// The name for messages.
    fn name(&self) -> &'static str {
        if self.server.is_some() {
            "redis"
        } else {
            "memory"
        }
    }

    /// Awaits `what`, which returns units, and waits until the store has received them.
    async fn given_back(&self, what: impl Future<Output = ()>) {
        let before = self.server.as_ref().map(scripts);
        what.await;
        if let (Some(server), Some(before)) = (&self.server, before) {
            eventually_async("redis runs the refund", async || scripts(server) > before).await;
        }
    }
}

/// A waiter reserves a slot of a leaky bucket together with a unit of `limit`, and is cancelled at
/// `leaves`. Returns what remained before and after.
async fn leaves_the_queue_at(
    store: &Store,
    name: &str,
    limit: Limit,
    leaves: Duration,
) -> [u64; 2] {
    store.clock.set(Duration::ZERO);
    let queue = Limit::leaky_bucket(1, 10 * SECOND).bucket_size(1_000);
    let throttle = Throttle::all(name, &[queue, limit]).with_config(store.config.clone());
    throttle.acquire_async("k").await.unwrap();
    let waiter = task::spawn({
        let throttle = throttle.clone();
        async move { throttle.acquire_async("k").await }
    });
    let taken = throttle.peek_async("k").await.unwrap().limit - 2;
    eventually_async("the waiter has its slot", async || {
        throttle.peek_async("k").await.unwrap().remaining == taken
    })
    .await;
    // Another caller takes a unit and keeps it.
    store.clock.set(leaves);
    assert!(throttle.check_async("k").await.unwrap().allowed, "{name}");
    let before = throttle.peek_async("k").await.unwrap().remaining;
    store.given_back(cancelled("the waiter", waiter)).await;
    let after = throttle.peek_async("k").await.unwrap().remaining;
    [before, after]
}

/// Cancels the waiter a quarter into the window after the one in which it took its unit.
macro_rules! late {
    ($($name:ident: $store:ident, $limit:expr, $remaining:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let store = Store::$store();
                let seen = leaves_the_queue_at(&store, "late", $limit, SECOND * 5 / 4).await;
                assert_eq!(seen, [$remaining; 2]);
            }
        )*
    };
}

late! {
    a_waiter_cancelled_late_takes_nothing_from_a_fixed_window_in_memory:
        memory, Limit::fixed_window(5, SECOND), 4;
    a_waiter_cancelled_late_takes_nothing_from_a_fixed_window_on_redis:
        redis, Limit::fixed_window(5, SECOND), 4;
    // The previous window counts for floor(2 · 3/4) = 1.
    a_waiter_cancelled_late_takes_nothing_from_a_sliding_window_in_memory:
        memory, Limit::sliding_window(5, SECOND), 3;
    a_waiter_cancelled_late_takes_nothing_from_a_sliding_window_on_redis:
        redis, Limit::sliding_window(5, SECOND), 3;
    a_waiter_cancelled_late_takes_nothing_from_a_log_in_memory:
        memory, Limit::sliding_log(5, SECOND), 4;
    a_waiter_cancelled_late_takes_nothing_from_a_log_on_redis:
        redis, Limit::sliding_log(5, SECOND), 4;
    a_waiter_cancelled_late_takes_nothing_from_a_bucket_in_memory:
        memory, Limit::token_bucket(5, SECOND), 4;
    a_waiter_cancelled_late_takes_nothing_from_a_bucket_on_redis:
        redis, Limit::token_bucket(5, SECOND), 4;
}

#[tokio::test]
async fn a_waiter_cancelled_within_the_window_returns_its_unit() {
    for store in Store::both() {
        for (name, limit) in [
            ("fixed", Limit::fixed_window(5, SECOND)),
            ("sliding", Limit::sliding_window(5, SECOND)),
        ] {
            let seen = leaves_the_queue_at(&store, name, limit, SECOND / 2).await;
            assert_eq!(seen, [2, 3], "{name} in {}", store.name());
        }
    }
}

#[test]
fn a_refund_after_the_window_adds_nothing_to_the_next_window() {
    for store in Store::both() {
        for (name, limit, remaining) in [
            ("fixed", Limit::fixed_window(5, SECOND), 5),
            // The previous window still counts for floor(4 · 3/4) = 3, despite the refund.
            ("sliding", Limit::sliding_window(5, SECOND), 2),
            ("log", Limit::sliding_log(5, SECOND), 5),
        ] {
            store.clock.set(Duration::ZERO);
            let throttle = Throttle::new(name, limit).with_config(store.config.clone());
            assert!(throttle.cost(4).check("k").unwrap().allowed);
            store.clock.set(SECOND * 5 / 4);
            throttle.refund("k", 4).unwrap();
            let left = throttle.peek("k").unwrap().remaining;
            assert_eq!(left, remaining, "{name} in {}", store.name());
            // Exactly the remaining units can be taken.
            assert!(
                throttle.cost(remaining).check("k").unwrap().allowed,
                "{name}"
            );
            assert!(!throttle.check("k").unwrap().allowed, "{name}");
        }
    }
}

#[tokio::test]
async fn a_call_dropped_after_its_window_adds_nothing_to_the_next_sliding_window() {
    let server = Server::start();
    // Long enough for a busy machine.
    let period = 2 * SECOND;
    let redis = server.handler();
    let throttle = Throttle::new("late", Limit::sliding_window(3, period))
        .with_config(redis)
        .cost(3);
    let mut call = Box::pin(throttle.check_async("k"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    eventually_async("the call is decided", async || !server.keys().is_empty()).await;
    // The task does not poll the call for two windows.
    std::thread::sleep(2 * period + Duration::from_millis(50));
    assert!(throttle.check("k").unwrap().allowed);
    let before = scripts(&server);
    drop(call);
    eventually_async("redis runs the refund", async || scripts(&server) > before).await;
    assert!(!throttle.cost(1).check("k").unwrap().allowed);
}
