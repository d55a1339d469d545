//! Servers that work only in part: paused, demoted, out of memory, closing idle connections, silent
//! beside others that answer, with a clock that was set back, or with values of other programs.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Algo, Config, Error, Handler, Limit, OnBackendError, RedisHandler, Throttle};
use premier_tests::redis::{Cluster, Sentinels, Server};
use premier_tests::waits::{LONGEST, cancelled, eventually, eventually_async, until_denied};

const SECOND: Duration = Duration::from_secs(1);
const ALL: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::LeakyBucket,
    Algo::SlidingLog,
    Algo::SlidingWindow,
    Algo::TokenBucket,
];

/// By when a server is in use again: a second, and another one on a busy machine. Pauses between attempts that never
/// began anew would be longer after three outages.
const SOON: Duration = Duration::from_secs(2);

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

fn until_ok<T>(mut call: impl FnMut() -> Result<T, Error>) -> Duration {
    let began = Instant::now();
    while call().is_err() {
        assert!(began.elapsed() < LONGEST, "waited in vain for an answer");
        thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

#[test]
fn a_server_that_refuses_writes_is_down_until_it_accepts_them() {
    let server = Server::start();
    let redis = RedisHandler::connect(server.url()).unwrap();
    let throttle =
        Throttle::new("p", Limit::token_bucket(9_000, SECOND)).with_config(redis.clone());
    throttle.acquire("k").unwrap();

    // During a failover a server answers reads but no writes.
    server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let (_, took) = timed(|| {
        for _ in 0..20 {
            assert!(throttle.check("k").is_err());
        }
    });
    // If each call waited for its timeout, they would take ten seconds.
    assert!(took < 5 * SECOND, "20 calls took {took:?}");
    assert_eq!(redis.status().outages, 1);
    server.command(&["CLIENT", "UNPAUSE"]);
    until_ok(|| throttle.check("k"));

    // The server becomes a replica, which is read-only.
    let connections = || -> u64 {
        let stats = server.command(&["INFO", "stats"]);
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = connections();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let end = Instant::now() + SECOND;
    let mut calls = 0;
    while Instant::now() < end {
        calls += u64::from(throttle.check("k").is_err());
    }
    assert!(calls > 100, "{calls}");
    assert!(
        connections() - before < 50,
        "{} connections",
        connections() - before
    );
    assert_eq!(redis.status().outages, 2);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(until_ok(|| throttle.check("k")) < SOON);

    // The server is out of memory.
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..20 {
        assert!(throttle.check("new").is_err());
    }
    assert_eq!(redis.status().outages, 3);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(until_ok(|| throttle.check("k")) < SOON);
    assert!(redis.status().up);
}

#[test]
fn no_call_fails_when_the_server_closes_an_idle_connection() {
    let server = Server::start();
    let redis = server.handler();
    let throttle = Throttle::new("i", Limit::token_bucket(1_000, SECOND)).with_config(redis);
    for _ in 0..5 {
        throttle.acquire("k").unwrap();
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        // The client reads that the connection is closed, also on a busy machine.
        thread::sleep(Duration::from_millis(300));
    }
    throttle.acquire("k").unwrap();
}

#[test]
fn silent_sentinels_do_not_block_the_connection() {
    let sentinels = Sentinels::start();
    for silent in [0, 1] {
        sentinels.sentinels[silent].signal("STOP");
        let redis = RedisHandler::sentinel(Sentinels::SERVICE, sentinels.urls())
            .timeout(Duration::from_millis(200))
            .build()
            .unwrap();
        redis.ping().unwrap();
    }
    for sentinel in &sentinels.sentinels {
        sentinel.signal("CONT");
    }
}

#[test]
fn a_dead_node_fails_only_the_keys_of_its_slots() {
    let mut cluster = Cluster::start();
    cluster.nodes[5].signal("STOP");
    let redis = cluster.handler();
    redis.ping().unwrap();
    cluster.nodes[5].signal("CONT");

    let throttle =
        Throttle::new("c", Limit::fixed_window(1_000, 3_600 * SECOND)).with_config(redis.clone());
    let id = |node: &Server| {
        let reply = node.command(&["CLUSTER", "MYID"]);
        reply.lines().nth(1).unwrap().trim().to_owned()
    };
    let (from, to) = (id(&cluster.nodes[0]), id(&cluster.nodes[1]));
    let moved = Command::new("redis-cli")
        .args(["--cluster", "reshard"])
        .arg(format!("127.0.0.1:{}", cluster.nodes[0].port()))
        .args(["--cluster-yes", "--cluster-slots", "1500"])
        .args(["--cluster-from", &from, "--cluster-to", &to])
        .output()
        .unwrap();
    assert!(moved.status.success());
    let slot = |key: u32| -> u32 {
        let name = format!("premier:c:fixed_window:{key}");
        let reply = cluster.nodes[2].command(&["CLUSTER", "KEYSLOT", &name]);
        reply.trim().trim_start_matches(':').parse().unwrap()
    };
    let slots: Vec<(u32, u32)> = (0..200).map(|key| (key, slot(key))).collect();
    let within = |range: std::ops::Range<u32>| -> Vec<u32> {
        let found = slots.iter().filter(|(_, slot)| range.contains(slot));
        found.map(|(key, _)| *key).collect()
    };
    let (alive, dead) = (within(0..1_500), within(1_500..5_461));
    for (key, _) in &slots {
        until_ok(|| throttle.check(key));
    }
    cluster.nodes[0].kill();
    assert!(throttle.check(&dead[0]).is_err());
    eventually("the client has a new map of the slots", || {
        alive.iter().all(|key| throttle.check(key).is_ok())
    });
    for key in &alive {
        throttle.acquire(key).unwrap();
    }
}

#[test]
fn a_group_of_limits_recovers_after_the_clock_was_set_back() {
    let server = Server::start();
    for algo in ALL {
        let clock = ManualClock::new();
        clock.set(1_000_000 * SECOND);
        let redis = server.builder().clock(clock.clone()).build().unwrap();
        let limits = [
            Limit::new(algo, 2, SECOND),
            Limit::new(algo, 1_000, 60 * SECOND),
        ];
        let group = Throttle::all(&format!("group-{algo}"), &limits).with_config(redis);
        until_denied("a group", || group.check("k").unwrap().allowed);
        clock.set((1_000_000 - 86_400) * SECOND);
        let again = (0..200).find(|_| {
            let allowed = group.check("k").unwrap().allowed;
            clock.advance(SECOND / 10);
            allowed
        });
        assert!(
            again.is_some_and(|tenths| tenths <= 60),
            "{algo}: {again:?}"
        );
    }
}

#[test]
fn a_value_of_another_program_is_an_error_until_the_key_is_reset() {
    let server = Server::start();
    let redis = server.handler();
    for algo in ALL {
        let throttle = Throttle::new("f", Limit::new(algo, 2, SECOND)).with_config(redis.clone());
        let key = format!("premier:f:{algo}:k");
        for value in ["garbage", "1e300", "-5", "1:2:3:4:5"] {
            server.command(&["DEL", &key]);
            if algo == Algo::SlidingLog {
                server.command(&["RPUSH", &key, value]);
            } else {
                server.command(&["SET", &key, value]);
            }
            for _ in 0..3 {
                let error = throttle.check("k").unwrap_err();
                assert!(error.to_string().contains("not one of premier"), "{error}");
            }
        }
        assert!(redis.status().up);
        throttle.reset("k").unwrap();
        assert!(throttle.check("k").unwrap().allowed);
    }
}

#[test]
fn a_reset_of_several_limits_is_one_call() {
    let server = Server::start();
    let redis = server.handler();
    let limits = [Limit::fixed_window(1, 60 * SECOND); 3];
    let group = Throttle::all("three", &limits).with_config(redis);
    group.acquire("k").unwrap();
    server.command(&["CONFIG", "RESETSTAT"]);
    group.reset("k").unwrap();
    assert!(server.keys().is_empty(), "{:?}", server.keys());
    let stats = server.command(&["INFO", "commandstats"]);
    assert!(stats.contains("cmdstat_evalsha:calls=1"), "{stats}");
    assert!(group.check("k").unwrap().allowed);
}

/// A slot that the memory fallback gave during an outage returns to the memory fallback.
#[tokio::test]
async fn a_waiter_of_the_fallback_returns_its_slot_to_the_fallback() {
    let mut server = Server::start();
    let config = Config::new(server.handler()).on_backend_error(OnBackendError::Memory);
    let limit = Limit::leaky_bucket(1, 60 * SECOND).bucket_size(5);
    let throttle = Throttle::new("q", limit).with_config(config);
    server.kill();
    throttle.acquire_async("k").await.unwrap();
    let before = throttle.peek_async("k").await.unwrap().remaining;
    let waiter = tokio::spawn({
        let throttle = throttle.clone();
        async move { throttle.acquire_async("k").await }
    });
    eventually_async("the waiter has its slot", async || {
        throttle.peek_async("k").await.unwrap().remaining != before
    })
    .await;
    cancelled("the waiter", waiter).await;
    assert_eq!(throttle.peek_async("k").await.unwrap().remaining, before);
}

/// A leaky bucket and a window together: a cancelled waiter returns its units to both.
#[tokio::test]
async fn a_waiter_of_a_mixed_group_returns_its_units_to_every_limit() {
    let server = Server::start();
    let redis = server.handler();
    let limits = [
        Limit::leaky_bucket(1, 60 * SECOND).bucket_size(10),
        Limit::fixed_window(5, 3_600 * SECOND),
    ];
    let throttles = [
        Throttle::all("mixed", &limits).with_config(redis),
        Throttle::all("mixed", &limits).with_config(premier::MemoryHandler::new()),
    ];
    for throttle in throttles {
        throttle.acquire_async("k").await.unwrap();
        let waiter = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.acquire_async("k").await }
        });
        let remaining = async || throttle.peek_async("k").await.unwrap().remaining;
        eventually_async("the waiter has its slot", async || remaining().await <= 3).await;
        cancelled("the waiter", waiter).await;
        eventually_async("the unit is given back", async || remaining().await >= 4).await;
    }
}

#[test]
fn invalid_settings_are_refused_without_showing_the_password_and_an_unlimited_timeout_works() {
    assert!(
        RedisHandler::cluster(["redis://h/"])
            .database(3)
            .build()
            .is_err()
    );
    let refused = RedisHandler::connect("redis://hunter2:1#@127.0.0.1/").unwrap_err();
    assert!(!refused.to_string().contains("hunter2"));
    let server = Server::start();
    let redis = server.builder().timeout(Duration::MAX).build().unwrap();
    redis.ping().unwrap();
    redis.clear("nothing").unwrap();
}
