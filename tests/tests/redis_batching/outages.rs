//! The policies of an outage apply to every call of a batch that was on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use premier::{Config, Error, Limit, OnBackendError, RedisHandler, Throttle};
use premier_tests::redis::{Sentinels, Server};
use premier_tests::waits::{done, eventually_async};

use super::SECOND;

const TIMEOUT: Duration = SECOND;

/// How long after its timeout a call may end on a busy machine. A call that waits twice takes longer.
const GRACE: Duration = Duration::from_millis(900);

const QUOTA: u64 = 1_000_000;

/// The outcomes of the callers under one policy.
#[derive(Default)]
struct Counts {
    allowed: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    slowest_micros: AtomicU64,
}

/// Tasks that call without a pause, under one policy.
struct Callers {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    async fn start(redis: &RedisHandler, policy: OnBackendError, limit: Limit) -> Self {
        let config = Config::new(redis.clone()).on_backend_error(policy);
        let throttle = Throttle::new(&format!("outage-{policy:?}"), limit).with_config(config);
        let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let tasks = (0..100)
            .map(|task| {
                let (throttle, counts, stop) =
                    (throttle.clone(), Arc::clone(&counts), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let result = throttle.check_async(&(task % 4)).await;
                        let took = u64::try_from(began.elapsed().as_micros()).unwrap();
                        counts.slowest_micros.fetch_max(took, Ordering::Relaxed);
                        let counter = match result {
                            Ok(decision) if decision.allowed => &counts.allowed,
                            Ok(_) => &counts.denied,
                            Err(Error::Backend { .. }) => &counts.failed,
                            Err(error) => panic!("{error}"),
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        let callers = Self {
            counts,
            stop,
            tasks,
        };
        eventually_async("calls are in flight", async || callers.allowed() > 300).await;
        callers
    }

    fn allowed(&self) -> u64 {
        self.counts.allowed.load(Ordering::Relaxed)
    }

    async fn stop(self) -> Arc<Counts> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            done("a caller ends", task).await;
        }
        let slowest = self.counts.slowest_micros.load(Ordering::Relaxed);
        let slowest = Duration::from_micros(slowest);
        assert!(slowest <= TIMEOUT + GRACE, "a call took {slowest:?}");
        self.counts
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Lets callers of all three policies call while something happens to the server.
async fn during(
    redis: RedisHandler,
    what_happens: impl AsyncFnOnce(&RedisHandler),
) -> [Arc<Counts>; 3] {
    let limit = Limit::token_bucket(QUOTA, SECOND);
    let allow = Callers::start(&redis, OnBackendError::Allow, limit).await;
    let deny = Callers::start(&redis, OnBackendError::Deny, limit).await;
    let memory = Callers::start(&redis, OnBackendError::Memory, limit).await;
    what_happens(&redis).await;
    eventually_async("redis is back", async || redis.status().up).await;
    let before = deny.allowed();
    eventually_async("calls are admitted again", async || {
        deny.allowed() > before + 200
    })
    .await;
    [allow.stop().await, deny.stop().await, memory.stop().await]
}

fn assert_policies([allow, deny, memory]: &[Arc<Counts>; 3]) {
    assert_eq!(
        count(&allow.failed),
        0,
        "allow turns failures into admissions"
    );
    assert_eq!(count(&memory.failed), 0, "memory decides instead");
    assert!(
        count(&deny.failed) >= 100,
        "all that were on their way fail"
    );
    assert_eq!(
        count(&deny.denied) + count(&allow.denied) + count(&memory.denied),
        0
    );
}

fn connect(server: &Server) -> RedisHandler {
    server.builder().timeout(TIMEOUT).build().unwrap()
}

#[tokio::test]
async fn policies_apply_to_all_calls_of_a_server_that_dies() {
    let mut server = Server::start();
    let counts = during(connect(&server), async |redis| {
        server.kill();
        eventually_async("the outage is noticed", async || !redis.status().up).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.restart();
    })
    .await;
    assert_policies(&counts);
    server.assert_all_expire();
}

#[tokio::test]
async fn policies_apply_to_all_calls_of_a_server_that_is_paused() {
    let server = Server::start();
    let counts = during(connect(&server), async |redis| {
        server.signal("STOP");
        eventually_async("the outage is noticed", async || !redis.status().up).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.signal("CONT");
    })
    .await;
    assert_policies(&counts);
    server.assert_all_expire();
}

#[tokio::test]
async fn policies_apply_to_all_calls_until_a_failover() {
    let mut sentinels = Sentinels::start();
    let redis = RedisHandler::sentinel(Sentinels::SERVICE, sentinels.urls())
        .timeout(TIMEOUT)
        .build()
        .unwrap();
    redis.ping_async().await.unwrap();
    let counts = during(redis, async |redis| {
        sentinels.fail_over();
        eventually_async("the outage is noticed", async || !redis.status().up).await;
    })
    .await;
    assert_policies(&counts);
    sentinels.data[1].assert_all_expire();
}

#[tokio::test]
async fn a_flush_of_scripts_under_load_fails_no_call_and_repeats_none() {
    let server = Server::start();
    let redis = server.handler();
    // More units than the calls take, so that the remaining ones show how many were taken.
    let limit = Limit::fixed_window(QUOTA, 3_600 * SECOND);
    let callers = Callers::start(&redis, OnBackendError::Deny, limit).await;
    for _ in 0..30 {
        server.command(&["SCRIPT", "FLUSH"]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counts = callers.stop().await;
    assert_eq!((count(&counts.failed), count(&counts.denied)), (0, 0));
    let throttle = Throttle::new("outage-Deny", limit).with_config(redis);
    let left: u64 = (0..4)
        .map(|key| throttle.peek(&key).unwrap().remaining)
        .sum();
    assert_eq!(4 * QUOTA - left, count(&counts.allowed));
}

#[tokio::test]
async fn in_memory_an_outage_admits_a_full_limit_at_most() {
    let mut server = Server::start();
    let limit = Limit::fixed_window(400, 3_600 * SECOND);
    let callers = Callers::start(&connect(&server), OnBackendError::Memory, limit).await;
    eventually_async("the limits are used up", async || {
        callers.allowed() >= 4 * 400
    })
    .await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counts = callers.stop().await;
    assert_eq!(count(&counts.failed), 0);
    assert!(
        count(&counts.allowed) <= 2 * 4 * 400,
        "{}",
        count(&counts.allowed)
    );
    assert!(count(&counts.denied) > 0);
}
