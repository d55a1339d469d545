//! Redis faults during traffic: no call hangs or panics, no key leaks, and calls are answered again
//! soon after the server's return.

mod held_drivers;
mod traffic;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use premier::{Config, Error, Limit, OnBackendError, RedisHandler, Throttle};
use premier_tests::redis::{Cluster, Sentinels, Server};
use premier_tests::waits::{eventually, joined};

use traffic::{SOON, TIMEOUT, Traffic, connect, errors, limit};

#[test]
fn a_script_flush_causes_no_error() {
    let server = Server::start();
    let traffic = Traffic::start(connect(&server), 1);
    for _ in 0..10 {
        server.command(&["SCRIPT", "FLUSH"]);
        thread::sleep(Duration::from_millis(20));
    }
    let outcomes = traffic.stop(1, 1);
    assert_eq!(errors(&outcomes), 0);
    server.assert_all_expire();
}

#[test]
fn a_flush_of_all_keys_resets_every_limit_without_an_error() {
    let server = Server::start();
    let traffic = Traffic::start(connect(&server), 1);
    server.command(&["FLUSHALL"]);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(errors(&traffic.stop(1, 2)), 0);
    server.assert_all_expire();
}

#[test]
fn killed_connections_are_replaced() {
    let server = Server::start();
    let traffic = Traffic::start(connect(&server), 1);
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        traffic.assert_back_soon(Instant::now());
    }
    let outcomes = traffic.stop(1, 1);
    // Only calls in progress fail: at most one for each caller and kill.
    assert!(errors(&outcomes) <= 5 * 4, "{}", errors(&outcomes));
    server.assert_all_expire();
}

#[test]
fn while_a_server_is_killed_calls_fail_at_once() {
    let mut server = Server::start();
    let redis = connect(&server);
    let traffic = Traffic::start(redis.clone(), 1);
    server.kill();
    let killed = Instant::now();
    thread::sleep(3 * TIMEOUT);
    assert!(!redis.status().up);
    server.restart();
    traffic.assert_back_soon(Instant::now());
    assert!(redis.status().up);
    assert_eq!(redis.status().outages, 1);
    let outcomes = traffic.stop(1, 2);
    let failed = || {
        let later = outcomes.iter().filter(|outcome| outcome.began > killed);
        later.filter(|outcome| outcome.result.is_err())
    };
    let slow = failed()
        .filter(|outcome| outcome.took > TIMEOUT / 2)
        .count();
    // If all waited for the timeout, each of the four callers would do so three times and make no other call.
    assert!(
        slow <= 8 && failed().count() > 100,
        "{slow} calls waited for a server known to be down"
    );
    server.assert_all_expire();
}

#[test]
fn a_stalled_server_delays_no_call_longer_than_the_timeout() {
    let server = Server::start();
    let redis = connect(&server);
    let traffic = Traffic::start(redis.clone(), 1);
    server.signal("STOP");
    let stopped = Instant::now();
    thread::sleep(3 * TIMEOUT);
    server.signal("CONT");
    traffic.assert_back_soon(Instant::now());

    let sleeper = thread::spawn({
        let port = server.port();
        move || {
            let port = port.to_string();
            let _ = Command::new("redis-cli")
                .args(["-p", &port, "DEBUG", "SLEEP", "4"])
                .output();
        }
    });
    eventually("the outage is noticed", || !redis.status().up);
    joined("the sleeper ends", sleeper).unwrap();
    traffic.assert_back_soon(Instant::now());
    let outcomes = traffic.stop(1, 1);
    let waited = outcomes
        .iter()
        .filter(|outcome| outcome.began > stopped && outcome.took > TIMEOUT / 2)
        .count();
    // Four callers and two stalls: each caller may meet the stall and the reconnect once.
    assert!(waited <= 16, "{waited} calls waited");
    server.assert_all_expire();
}

#[test]
fn an_address_that_never_answers_delays_no_call_longer_than_the_timeout() {
    // The listener's backlog accepts connections, but no thread serves them.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let redis = RedisHandler::builder(url).timeout(TIMEOUT).build().unwrap();
    let throttle = Throttle::new("silent", limit()).with_config(redis);
    for call in 0..20 {
        let began = Instant::now();
        assert!(matches!(throttle.check("k"), Err(Error::Backend { .. })));
        // A busy machine adds some time, but neither a second timeout nor one to a call that fails at once.
        let most = if call == 0 {
            2 * TIMEOUT
        } else {
            TIMEOUT * 9 / 10
        };
        assert!(
            began.elapsed() < most,
            "call {call} took {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn the_outage_policy_decides_while_redis_is_down() {
    let mut server = Server::start();
    let limit = Limit::fixed_window(2, Duration::from_secs(3_600));
    let throttle = |policy| {
        let config = Config::new(connect(&server)).on_backend_error(policy);
        Throttle::new("policy", limit).with_config(config)
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
        assert!(back.elapsed() < SOON, "back after {:?}", back.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn calls_follow_a_sentinel_failover() {
    let mut sentinels = Sentinels::start();
    let redis = RedisHandler::sentinel(Sentinels::SERVICE, sentinels.urls())
        .timeout(TIMEOUT)
        .build()
        .unwrap();
    redis.ping().unwrap();
    let traffic = Traffic::start(redis, 1);
    sentinels.fail_over();
    let replica = &sentinels.data[1];
    // The handler cannot find the new master before the sentinels name it.
    let named = format!("\r\n{}\r\n", replica.port());
    let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Sentinels::SERVICE];
    eventually("the sentinels name the new master", || {
        let mut all = sentinels.sentinels.iter();
        all.all(|sentinel| sentinel.command(&ask).contains(&named))
    });
    traffic.assert_back_soon(Instant::now());
    // Units that the master had not replicated may be admitted again.
    traffic.stop(1, 2);
    replica.assert_all_expire();
}

#[test]
fn calls_survive_the_loss_of_a_master_and_a_move_of_slots() {
    let mut cluster = Cluster::start();
    let redis = cluster.builder().timeout(TIMEOUT).build().unwrap();
    redis.ping().unwrap();
    let keys = 12;
    let traffic = Traffic::start(redis, keys);

    // Move slots in use from the first master to the second.
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
    traffic.assert_back_soon(Instant::now());

    cluster.fail_over(1);
    let alive = &cluster.nodes[2];
    let dead = format!(":{}\r\n", cluster.nodes[1].port());
    eventually("a replica has the slots of the dead node", || {
        let state = alive.command(&["CLUSTER", "INFO"]);
        let slots = alive.command(&["CLUSTER", "SLOTS"]);
        state.contains("cluster_state:ok") && !slots.contains(&dead)
    });
    let healed = Instant::now();
    // Calls for all keys must be answered, not only those of the other masters.
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
            healed.elapsed() < 2 * SOON,
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
