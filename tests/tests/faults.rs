//! Faults in the middle of traffic: nobody hangs, nobody panics, nothing leaks, and the service is
//! back within a second of its server.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use premier::{Config, Error, Limit, OnBackendError, RedisHandler, Throttle};
use premier_tests::redis::{Cluster, Sentinels, Server};
use premier_tests::waits::joined;

const TIMEOUT: Duration = Duration::from_millis(500);
/// How much later than the timeout a call may end.
const GRACE: Duration = Duration::from_millis(100);
const RATE: u64 = 500;

fn limit() -> Limit {
    Limit::token_bucket(RATE, Duration::from_secs(1)).burst(50)
}

/// What one call came to.
#[derive(Debug)]
struct Outcome {
    began: Instant,
    took: Duration,
    result: Result<bool, Error>,
}

/// Threads and tasks that call without a pause.
struct Traffic {
    stop: Arc<AtomicBool>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    began: Instant,
    callers: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(config: impl Into<Config>, keys: u32) -> Self {
        let throttle = Throttle::with_handler(config, "traffic", limit());
        let stop = Arc::new(AtomicBool::new(false));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let record = |outcomes: &Mutex<Vec<Outcome>>, began: Instant, result: Result<_, Error>| {
            let took = began.elapsed();
            let result = result.map(|decision: premier::Decision| decision.allowed);
            let outcome = Outcome {
                began,
                took,
                result,
            };
            outcomes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(outcome);
        };
        let callers = (0..4)
            .map(|caller| {
                let (throttle, stop, outcomes) =
                    (throttle.clone(), Arc::clone(&stop), Arc::clone(&outcomes));
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap();
                    let mut key = caller;
                    while !stop.load(Ordering::Relaxed) {
                        key = (key + 1) % keys;
                        let began = Instant::now();
                        let result = if caller % 2 == 0 {
                            throttle.check(&key)
                        } else {
                            runtime.block_on(throttle.check_async(&key))
                        };
                        record(&outcomes, began, result);
                        thread::sleep(Duration::from_micros(300));
                    }
                })
            })
            .collect();
        let traffic = Self {
            stop,
            outcomes,
            began: Instant::now(),
            callers,
        };
        // A fault is to meet traffic that flows.
        traffic.wait_for_answers(Instant::now(), 100);
        traffic
    }

    /// Until this many calls that began after `since` were answered; when the first of them began.
    fn wait_for_answers(&self, since: Instant, count: usize) -> Instant {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            {
                let outcomes = self.outcomes.lock().unwrap();
                let mut answered = outcomes
                    .iter()
                    .filter(|outcome| outcome.began >= since && outcome.result.is_ok());
                if let (Some(first), Some(_)) = (answered.next(), answered.nth(count)) {
                    return first.began;
                }
            }
            assert!(Instant::now() < deadline, "no answers");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless calls are answered within a second of `since`.
    fn assert_back_within_a_second(&self, since: Instant) {
        let first = self.wait_for_answers(since, 20);
        let delay = first - since;
        assert!(delay < Duration::from_secs(1), "back after {delay:?}");
    }

    /// Stops and checks what holds of every fault. `states` is how often a key's state may have
    /// begun anew.
    fn stop(self, keys: u32, states: u64) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            joined("a caller ends", caller).expect("a caller panicked");
        }
        let elapsed = self.began.elapsed().as_secs_f64();
        let outcomes = std::mem::take(&mut *self.outcomes.lock().unwrap());
        let slowest = outcomes.iter().map(|outcome| outcome.took).max().unwrap();
        assert!(slowest <= TIMEOUT + GRACE, "a call took {slowest:?}");
        let admitted = outcomes
            .iter()
            .filter(|outcome| matches!(outcome.result, Ok(true)))
            .count();
        let most = f64::from(keys) * (50.0 * states as f64 + RATE as f64 * (elapsed + 0.1));
        assert!(
            admitted as f64 <= most,
            "{admitted} of {most:.0} were admitted"
        );
        for outcome in &outcomes {
            if let Err(error) = &outcome.result {
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
            }
        }
        outcomes
    }
}

fn errors(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count()
}

#[test]
fn a_script_flush_is_not_noticed() {
    let server = Server::start();
    let traffic = Traffic::start(RedisHandler::connect(server.url()).unwrap(), 1);
    for _ in 0..10 {
        server.command(&["SCRIPT", "FLUSH"]);
        thread::sleep(Duration::from_millis(20));
    }
    let outcomes = traffic.stop(1, 1);
    assert_eq!(errors(&outcomes), 0);
    server.assert_all_expire();
}

#[test]
fn a_flush_of_everything_starts_anew() {
    let server = Server::start();
    let traffic = Traffic::start(RedisHandler::connect(server.url()).unwrap(), 1);
    server.command(&["FLUSHALL"]);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(errors(&traffic.stop(1, 2)), 0);
    server.assert_all_expire();
}

#[test]
fn killed_connections_are_replaced() {
    let server = Server::start();
    let traffic = Traffic::start(RedisHandler::connect(server.url()).unwrap(), 1);
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        traffic.assert_back_within_a_second(Instant::now());
    }
    let outcomes = traffic.stop(1, 1);
    // Only calls that were under way are cut off: at most one for each caller and kill.
    assert!(errors(&outcomes) <= 5 * 4, "{}", errors(&outcomes));
    server.assert_all_expire();
}

#[test]
fn a_killed_server_denies_at_once_until_it_is_back() {
    let mut server = Server::start();
    let redis = RedisHandler::connect(server.url()).unwrap();
    let traffic = Traffic::start(redis.clone(), 1);
    server.kill();
    let killed = Instant::now();
    thread::sleep(Duration::from_secs(1));
    assert!(!redis.status().up);
    server.restart();
    traffic.assert_back_within_a_second(Instant::now());
    assert!(redis.status().up);
    assert_eq!(redis.status().outages, 1);
    let outcomes = traffic.stop(1, 2);
    let slow = outcomes
        .iter()
        .filter(|outcome| outcome.began > killed && outcome.result.is_err())
        .filter(|outcome| outcome.took > Duration::from_millis(50))
        .count();
    assert!(
        slow <= 8,
        "{slow} calls waited for a server known to be down"
    );
    server.assert_all_expire();
}

#[test]
fn a_stalled_server_holds_nobody_longer_than_the_timeout() {
    let server = Server::start();
    let redis = RedisHandler::connect(server.url()).unwrap();
    let traffic = Traffic::start(redis.clone(), 1);
    server.signal("STOP");
    let stopped = Instant::now();
    thread::sleep(Duration::from_secs(2));
    server.signal("CONT");
    traffic.assert_back_within_a_second(Instant::now());

    let sleeper = thread::spawn({
        let port = server.port();
        move || {
            let port = port.to_string();
            let _ = Command::new("redis-cli")
                .args(["-p", &port, "DEBUG", "SLEEP", "2"])
                .output();
        }
    });
    thread::sleep(Duration::from_secs(1));
    assert!(!redis.status().up);
    joined("the sleeper ends", sleeper).unwrap();
    traffic.assert_back_within_a_second(Instant::now());
    let outcomes = traffic.stop(1, 1);
    let waited = outcomes
        .iter()
        .filter(|outcome| outcome.began > stopped && outcome.took > TIMEOUT / 2)
        .count();
    // Four callers, two stalls; each may meet the stall and the attempt to connect once.
    assert!(waited <= 16, "{waited} calls waited");
    server.assert_all_expire();
}

#[test]
fn an_address_that_never_answers_is_bounded_too() {
    // A listener whose queue takes connections that nobody ever serves.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let redis = RedisHandler::builder(url)
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let throttle = Throttle::with_handler(redis, "silent", limit());
    for call in 0..20 {
        let began = Instant::now();
        assert!(matches!(throttle.check("k"), Err(Error::Backend { .. })));
        let most = if call == 0 {
            Duration::from_millis(300)
        } else {
            Duration::from_millis(100)
        };
        assert!(
            began.elapsed() < most,
            "call {call} took {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn the_policy_decides_while_redis_is_away() {
    let mut server = Server::start();
    let limit = Limit::fixed_window(2, Duration::from_secs(3_600));
    let throttle = |policy| {
        let config =
            Config::new(RedisHandler::connect(server.url()).unwrap()).on_backend_error(policy);
        Throttle::with_handler(config, "policy", limit)
    };
    let (deny, allow, memory) = (
        throttle(OnBackendError::Deny),
        throttle(OnBackendError::Allow),
        throttle(OnBackendError::Memory),
    );
    for throttle in [&deny, &allow, &memory] {
        assert_eq!(throttle.peek("k").unwrap().remaining, 2);
    }
    server.kill();
    assert!(matches!(deny.acquire("k"), Err(Error::Backend { .. })));
    assert!((0..10).all(|_| allow.check("k").unwrap().allowed));
    let admitted = (0..10)
        .filter(|_| memory.check("k").unwrap().allowed)
        .count();
    assert_eq!(admitted, 2, "limits go on in this process");
    let counts = premier::outage_calls();
    assert!(
        counts.denied >= 1 && counts.allowed >= 10 && counts.in_memory >= 10,
        "{counts:?}"
    );
    server.restart();
    let back = Instant::now();
    while memory.peek("k").unwrap().remaining == 0 || deny.peek("k").is_err() {
        assert!(
            back.elapsed() < Duration::from_secs(1),
            "back after {:?}",
            back.elapsed()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sentinel_failover_is_followed() {
    let mut sentinels = Sentinels::start();
    let redis = RedisHandler::sentinel(Sentinels::SERVICE, sentinels.urls())
        .build()
        .unwrap();
    redis.ping().unwrap();
    let traffic = Traffic::start(redis, 1);
    sentinels.data[0].kill();
    let replica = &sentinels.data[1];
    let killed = Instant::now();
    // Nobody can know the new master before the sentinels name it.
    let named = format!("\r\n{}\r\n", replica.port());
    let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Sentinels::SERVICE];
    while !sentinels
        .sentinels
        .iter()
        .all(|sentinel| sentinel.command(&ask).contains(&named))
    {
        assert!(killed.elapsed() < Duration::from_secs(30), "no failover");
        thread::sleep(Duration::from_millis(10));
    }
    traffic.assert_back_within_a_second(Instant::now());
    // What the master had not passed on may be admitted once more.
    traffic.stop(1, 2);
    replica.assert_all_expire();
}

#[test]
fn a_cluster_loses_a_master_and_moves_slots_under_traffic() {
    let mut cluster = Cluster::start();
    let redis = RedisHandler::cluster(cluster.urls()).build().unwrap();
    redis.ping().unwrap();
    let keys = 12;
    let traffic = Traffic::start(redis, keys);

    // Every slot of the first master that is in use goes to the second, one by one.
    let port = cluster.nodes[0].port().to_string();
    let id = |node: &Server| {
        let line = node.command(&["CLUSTER", "MYID"]);
        line.lines().nth(1).unwrap_or_default().trim().to_owned()
    };
    let (from, to) = (id(&cluster.nodes[0]), id(&cluster.nodes[1]));
    let moved = Command::new("redis-cli")
        .args([
            "--cluster",
            "reshard",
            &format!("127.0.0.1:{port}"),
            "--cluster-yes",
        ])
        .args([
            "--cluster-from",
            &from,
            "--cluster-to",
            &to,
            "--cluster-slots",
            "1500",
        ])
        .output()
        .unwrap();
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stdout)
    );
    traffic.assert_back_within_a_second(Instant::now());

    cluster.nodes[1].kill();
    let killed = Instant::now();
    let alive = &cluster.nodes[2];
    thread::sleep(Duration::from_secs(1));
    while !alive
        .command(&["CLUSTER", "INFO"])
        .contains("cluster_state:ok")
    {
        assert!(killed.elapsed() < Duration::from_secs(30), "no failover");
        thread::sleep(Duration::from_millis(10));
    }
    let healed = Instant::now();
    // All keys, not only those of the other masters.
    loop {
        let outcomes = traffic.outcomes.lock().unwrap();
        let last = outcomes.len().saturating_sub(keys as usize * 8);
        let recent = &outcomes[last..];
        if recent
            .iter()
            .all(|outcome| outcome.began > healed && outcome.result.is_ok())
        {
            break;
        }
        drop(outcomes);
        assert!(
            healed.elapsed() < Duration::from_secs(2),
            "not back after {:?}",
            healed.elapsed()
        );
        thread::sleep(Duration::from_millis(10));
    }
    traffic.stop(keys, 2);
    for node in &cluster.nodes {
        if node.try_command(&["PING"]).is_some() {
            node.assert_all_expire();
        }
    }
}
