//! Networks with a long round trip: the time spent waiting for a connection does not count against it, and one
//! slow answer does not close every connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use premier::{Limit, RedisHandler, Throttle};
use premier_tests::proxy::DelayingProxy;
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, done, eventually_async, within};

/// Long for a busy machine, of which the round trips below are a part.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Each way of a round trip of 300 ms.
const HALF_TRIP: Duration = Duration::from_millis(150);

/// Held by each test: some load the machine, others leave little time to spare.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A server behind a proxy, and a throttle with a handler of its own that reaches the server by the proxy.
fn behind_proxy() -> (Server, DelayingProxy, RedisHandler, Throttle) {
    let server = Server::start();
    let proxy = DelayingProxy::to(server.port());
    let redis = RedisHandler::builder(proxy.url())
        .timeout(TIMEOUT)
        .build()
        .unwrap();
    let limit = Limit::token_bucket(1_000_000, Duration::from_secs(1));
    let throttle = Throttle::new("slow", limit).with_config(redis.clone());
    (server, proxy, redis, throttle)
}

/// Calls of one task after the other: when each began, and whether it was decided.
type Calls = Arc<Mutex<Vec<(Instant, bool)>>>;

/// Tasks that call until they are stopped, each with a key of its own and a pause after each call.
struct Callers {
    calls: Calls,
    is_stopped: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    fn start(count: u32, throttle: &Throttle, pause: Duration) -> Self {
        let calls = Calls::default();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let tasks = (0..count)
            .map(|key| {
                let (throttle, calls) = (throttle.clone(), Arc::clone(&calls));
                let is_stopped = Arc::clone(&is_stopped);
                tokio::spawn(async move {
                    // They do not begin together.
                    tokio::time::sleep(pause * key / count).await;
                    while !is_stopped.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let is_decided = throttle.check_async(&key).await.is_ok();
                        calls
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((began, is_decided));
                        // Calls that fail at once leave time to others.
                        let least = Duration::from_millis(if is_decided { 0 } else { 5 });
                        tokio::time::sleep(pause.max(least)).await;
                    }
                })
            })
            .collect();
        Self {
            calls,
            is_stopped,
            tasks,
        }
    }

    async fn answered(&self, count: usize) {
        eventually_async("calls are answered", async || {
            let calls = self.calls.lock().unwrap();
            calls.iter().filter(|(_, is_decided)| *is_decided).count() >= count
        })
        .await;
    }

    /// Stops the tasks. Returns how many of the calls that began after `since` were made and decided.
    async fn stop(self, since: Instant) -> (usize, usize) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for task in self.tasks {
            done("a caller", task).await;
        }
        let calls = self.calls.lock().unwrap();
        let later = || calls.iter().filter(|(began, _)| *began >= since);
        let decided = later().filter(|(_, is_decided)| *is_decided);
        (later().count(), decided.count())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_round_trip_of_300_ms_a_killed_connection_is_soon_replaced() {
    let _alone = ALONE.lock().await;
    kill_a_connection(HALF_TRIP).await;
}

/// Calls that wait for the connection have too little time left for a round trip.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_round_trip_of_400_ms_a_killed_connection_is_soon_replaced() {
    let _alone = ALONE.lock().await;
    kill_a_connection(Duration::from_millis(200)).await;
}

async fn kill_a_connection(half_trip: Duration) {
    let (server, proxy, _, throttle) = behind_proxy();
    let callers = Callers::start(64, &throttle, Duration::ZERO);
    callers.answered(1_000).await;
    proxy.set_delay(half_trip, half_trip);
    tokio::time::sleep(TIMEOUT).await;

    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let soon = Instant::now() + 3 * TIMEOUT;
    tokio::time::sleep(7 * TIMEOUT).await;
    let (made, decided) = callers.stop(soon).await;
    assert!(
        made > 250 && decided * 100 >= made * 99,
        "{decided} of {made}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_round_trip_of_300_ms_calls_that_begin_together_connect_and_are_decided() {
    let _alone = ALONE.lock().await;
    let (_server, proxy, redis, throttle) = behind_proxy();
    proxy.set_delay(HALF_TRIP, HALF_TRIP);
    let calls: Vec<_> = (0..400)
        .map(|key| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.check_async(&key).await })
        })
        .collect();
    let mut decided = 0;
    for call in calls {
        decided += usize::from(done("a call", call).await.is_ok());
    }
    assert_eq!(decided, 400);
    assert_eq!(redis.status().outages, 0);
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_takes_longer_than_the_timeout_to_make_is_used_once_it_is_there() {
    let _alone = ALONE.lock().await;
    let (_server, proxy, redis, throttle) = behind_proxy();
    // Two trips do not fit the timeout, one does.
    proxy.set_delay(2 * HALF_TRIP, 2 * HALF_TRIP);
    let callers = Callers::start(64, &throttle, Duration::from_millis(10));
    let connected = Instant::now() + 4 * TIMEOUT;
    tokio::time::sleep(8 * TIMEOUT).await;
    let (made, decided) = callers.stop(connected).await;
    assert!(
        made > 100 && decided * 100 >= made * 99,
        "{decided} of {made}"
    );
    assert!(redis.status().up);
}

/// When no call is decided for a second, that is an outage, whether or not a connection can be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_counted_once_and_a_short_delay_is_none() {
    let _alone = ALONE.lock().await;
    let (_server, proxy, redis, throttle) = behind_proxy();
    let callers = Callers::start(64, &throttle, Duration::from_millis(10));
    callers.answered(1_000).await;
    // Shorter than the timeout.
    proxy.delay_next_reply(TIMEOUT / 2);
    tokio::time::sleep(TIMEOUT).await;
    assert_eq!(redis.status().outages, 0);
    for outages in 1..=2 {
        proxy.set_stalled(true);
        tokio::time::sleep(3 * TIMEOUT).await;
        assert!(!redis.status().up);
        assert_eq!(redis.status().outages, outages);
        proxy.set_stalled(false);
        within("the server is back", async {
            while !redis.status().up {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        tokio::time::sleep(2 * TIMEOUT).await;
        assert_eq!(redis.status().outages, outages);
    }
    callers.stop(Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_one_slow_answer_5_000_tasks_open_only_a_handful_of_connections() {
    let _alone = ALONE.lock().await;
    let (_server, proxy, _, throttle) = behind_proxy();
    proxy.set_delay(Duration::from_millis(10), Duration::from_millis(10));
    let callers = Callers::start(5_000, &throttle, Duration::from_secs(1));
    callers.answered(10_000).await;
    let before = proxy.accepted();
    proxy.delay_next_reply(TIMEOUT + Duration::from_millis(200));
    let soon = Instant::now() + 3 * TIMEOUT;
    tokio::time::sleep(6 * TIMEOUT).await;
    let opened = proxy.accepted() - before;
    let (made, decided) = callers.stop(soon).await;
    assert!(opened <= 5, "{opened} connections");
    // Some of 5,000 calls may have to wait for a busy machine.
    assert!(decided * 10 >= made * 9, "{decided} of {made}");
}

/// All checks are sent before the server can say that it does not know their script.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_of_5_000_checks_does_not_send_the_script_with_every_check() {
    let _alone = ALONE.lock().await;
    let server = Server::start();
    let proxy = DelayingProxy::to(server.port());
    proxy.set_delay(HALF_TRIP, HALF_TRIP);
    let redis = RedisHandler::builder(proxy.url())
        .timeout(LONGEST)
        .build()
        .unwrap();
    let limit = Limit::token_bucket(1_000_000, Duration::from_secs(1));
    let throttle = Throttle::new("cold", limit).with_config(redis);
    let calls: Vec<_> = (0..5_000)
        .map(|key| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.check_async(&key).await })
        })
        .collect();
    for call in calls {
        assert!(done("a check", call).await.is_ok());
    }
    let stats = server.command(&["INFO", "stats"]);
    let received = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    let received: usize = received.unwrap().trim().parse().unwrap();
    assert!(received < 5_000 * 400 + 100_000, "{received} bytes");
}
