//! Redis decides as memory does, keeps nothing too long, and shares with nobody.

use std::thread;
use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Algo, Config, Error, Handler, Limit, MemoryHandler, RedisHandler, Throttle};
use premier_tests::conformance;
use premier_tests::redis::{Cluster, Server};
use premier_tests::waits::{eventually_async, joined, until_denied, within};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const ALL: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::SlidingWindow,
    Algo::SlidingLog,
    Algo::TokenBucket,
    Algo::LeakyBucket,
];

fn config(server: &Server) -> Config {
    Config::new(RedisHandler::connect(server.url()).unwrap())
}

#[test]
fn a_single_node_decides_every_sequence_exactly() {
    let server = Server::start();
    let compared = conformance::run(Duration::from_micros(1), |clock| {
        RedisHandler::builder(server.url())
            .clock(clock)
            .build()
            .unwrap()
    });
    assert_eq!(compared, 59 * 60);
    server.assert_all_expire();
}

#[test]
fn a_cluster_decides_every_sequence_exactly() {
    let cluster = Cluster::start();
    let compared = conformance::run(Duration::from_micros(1), |clock| {
        RedisHandler::cluster(cluster.urls())
            .clock(clock)
            .build()
            .unwrap()
    });
    assert_eq!(compared, 59 * 60);
    cluster.nodes.iter().for_each(Server::assert_all_expire);
    let masters = cluster
        .nodes
        .iter()
        .filter(|node| !node.keys().is_empty())
        .count();
    assert!(masters >= 3, "the keys are spread");
}

/// Any limit in the whole range, in whole microseconds and between them.
fn limit() -> impl Strategy<Value = Limit> {
    let period = prop_oneof![1_000..3_000_u64, 1_000..=366 * 86_400 * 1_000_000_000_u64];
    (
        0..5_usize,
        period,
        any::<u64>(),
        prop::option::of(1..=1_u64 << 32),
    )
        .prop_map(|(algo, period, quota, size)| {
            let most = if ALL[algo] == Algo::SlidingLog {
                period.min(1_000)
            } else {
                period
            };
            let limit = Limit::new(ALL[algo], 1 + quota % most, Duration::from_nanos(period));
            match (ALL[algo], size) {
                (Algo::TokenBucket, Some(size)) => limit.burst(size),
                (Algo::LeakyBucket, Some(size)) => limit.bucket_size(size),
                _ => limit,
            }
        })
}

/// Calls, refunds and steps of the clock, the same on both.
#[test]
fn memory_and_redis_decide_alike_over_the_whole_range() {
    let server = Server::start();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    });
    let calls = prop::collection::vec((any::<u64>(), any::<u64>(), 0..10_u8), 1..30);
    let clock = ManualClock::new();
    let redis = RedisHandler::builder(server.url())
        .clock(clock.clone())
        .build()
        .unwrap();
    let case = std::cell::Cell::new(0);
    runner
        .run(
            &(prop::collection::vec(limit(), 1..3), calls),
            |(limits, calls)| {
                case.set(case.get() + 1);
                // All cases together would go on beyond 2^53 microseconds, the year 2255, where
                // Redis' numbers end.
                clock.set(Duration::ZERO);
                let memory = MemoryHandler::builder().clock(clock.clone()).build();
                let memory = Throttle::all_with_handler(memory, "case", &limits);
                let name = format!("case-{}", case.get());
                let redis = Throttle::all_with_handler(redis.clone(), &name, &limits);
                let capacity = limits.iter().map(Limit::capacity).min().unwrap();
                let step = limits
                    .iter()
                    .map(|limit| limit.period().as_micros() as u64)
                    .min()
                    .unwrap();
                for (pause, cost, what) in calls {
                    clock.advance(Duration::from_micros(pause % step.max(2)));
                    let cost = cost % (capacity + 1);
                    if what == 0 {
                        memory.refund("k", cost).unwrap();
                        redis.refund("k", cost).unwrap();
                        continue;
                    }
                    let ours = memory.cost(cost).check("k").unwrap();
                    let theirs = redis.cost(cost).check("k").unwrap();
                    prop_assert_eq!(ours.allowed, theirs.allowed, "{:?} {:?}", ours, theirs);
                    prop_assert_eq!(ours.remaining, theirs.remaining);
                    for (ours, theirs) in [
                        (ours.retry_after, theirs.retry_after),
                        (ours.reset_after, theirs.reset_after),
                        (ours.delay, theirs.delay),
                    ] {
                        prop_assert!(ours <= theirs, "{:?} {:?}", ours, theirs);
                        prop_assert!(
                            theirs - ours < Duration::from_micros(1),
                            "{:?} {:?}",
                            ours,
                            theirs
                        );
                    }
                }
                Ok(())
            },
        )
        .unwrap();
    server.assert_all_expire();
}

#[test]
fn keys_expire_when_they_owe_nothing_and_not_before() {
    let server = Server::start();
    let period = Duration::from_millis(500);
    for algo in ALL {
        let throttle =
            Throttle::with_handler(config(&server), "short", Limit::new(algo, 3, period));
        until_denied("a key", || throttle.check("k").unwrap().allowed);
        let key = server.keys().remove(0);
        let ttl = server.command(&["PTTL", &key]);
        let ttl: u64 = ttl.trim_start_matches(':').trim().parse().unwrap();
        let reset = throttle.peek("k").unwrap().reset_after.as_millis() as u64;
        assert!(
            ttl + 1 >= reset && ttl <= reset + 100,
            "{algo}: {ttl} ms for {reset} ms"
        );
        assert_eq!(server.keys().len(), 1, "{algo}");
        let started = std::time::Instant::now();
        while !server.keys().is_empty() {
            assert!(
                started.elapsed() < 3 * SECOND,
                "{algo}: {:?} are left",
                server.keys()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn denials_and_questions_store_nothing() {
    let server = Server::start();
    for algo in ALL {
        let throttle = Throttle::with_handler(config(&server), "ask", Limit::new(algo, 5, SECOND));
        assert!(throttle.cost(0).check("k").unwrap().allowed);
        assert!(throttle.peek("k").unwrap().allowed);
        throttle.refund("k", 3).unwrap();
        throttle.reset("k").unwrap();
        assert!(matches!(
            throttle.cost(9).check("k"),
            Err(Error::CostExceedsCapacity { .. })
        ));
        assert!(server.keys().is_empty(), "{algo}: {:?}", server.keys());
    }
}

#[test]
fn clear_leaves_every_other_keyspace_alone() {
    let server = Server::start();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    server.command(&["SET", "foreign", "1"]);
    server.command(&["SET", "shopping:x", "1"]);
    let redis = RedisHandler::connect(server.url()).unwrap();
    let make = |keyspace: &str| {
        let config = Config::new(redis.clone()).keyspace(keyspace);
        Throttle::with_handler(config, "t", limit)
    };
    let (shop, star, shops) = (make("shop"), make("sh*"), make("shop[s]"));
    for key in 0..3_000 {
        assert!(shop.check(&key).unwrap().allowed);
    }
    assert!(star.check("k").unwrap().allowed && shops.check("k").unwrap().allowed);
    redis.clear("sh*").unwrap();
    assert!(
        !shop.check(&1).unwrap().allowed,
        "a keyspace is not a pattern"
    );
    redis.clear("shop").unwrap();
    assert!(!shops.check("k").unwrap().allowed);
    assert!(shop.check(&1).unwrap().allowed && star.check("k").unwrap().allowed);
    redis.clear("shop").unwrap();
    let mut left = server.keys();
    left.sort();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.contains(&"foreign".to_owned()) && left.contains(&"shopping:x".to_owned()));
}

#[test]
fn a_cluster_clears_every_master_and_keeps_groups_in_one_slot() {
    let cluster = Cluster::start();
    let redis = RedisHandler::cluster(cluster.urls()).build().unwrap();
    let limits = [
        Limit::token_bucket(2, SECOND),
        Limit::fixed_window(3, 3_600 * SECOND),
    ];
    let group = Throttle::all_with_handler(redis.clone(), "group", &limits);
    let one = Throttle::with_handler(redis.clone(), "one", limits[1]);
    for key in [
        "a",
        "{b}",
        "}{",
        "{}",
        "x{",
        "{{a}}",
        "\0\n\r\n",
        &"long".repeat(1_000),
    ] {
        assert!(group.check(key).unwrap().allowed, "{key:?}");
        assert!(one.check(key).unwrap().allowed, "{key:?}");
    }
    for key in 0..200 {
        assert!(one.check(&key).unwrap().allowed);
    }
    cluster.nodes[0].command(&["SET", "foreign", "1"]);
    redis.clear("premier").unwrap();
    let left: usize = cluster.nodes.iter().map(|node| node.keys().len()).sum();
    // A replica may hold the foreign key as well; it may also have belonged to another node.
    assert!(left <= 2, "{left} keys are left");
}

#[test]
fn hostile_keys_are_only_keys() {
    let server = Server::start();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let throttle = Throttle::with_handler(config(&server), "hostile", limit);
    let megabyte = "x".repeat(1 << 20);
    let keys = [
        "",
        " ",
        "\0",
        "\r\n",
        "\r\nFLUSHALL\r\n",
        "'; redis.call('FLUSHALL') --",
        "]]",
        "%",
        "%25",
        "{",
        "}",
        "%7B",
        "a:b",
        "*",
        "\u{202e}",
        &megabyte,
        &megabyte[1..],
    ];
    for key in keys {
        assert!(throttle.check(key).unwrap().allowed, "{key:.20?}");
        assert!(!throttle.check(key).unwrap().allowed, "{key:.20?}");
    }
    assert!(
        server
            .command(&["DBSIZE"])
            .contains(&keys.len().to_string())
    );
    assert!(server.keys().iter().all(|key| key.len() < 300));
    let message = throttle
        .acquire("\r\nFLUSHALL\r\n")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(r"\r\nFLUSHALL\r\n") && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn passwords_never_show() {
    let server = Server::with(&["--requirepass", "hunter2"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}/3", server.port());
    let redis = RedisHandler::connect(&url).unwrap();
    redis.ping().unwrap();
    let wrong = RedisHandler::builder(server.url())
        .password("wrong-hunter")
        .build()
        .unwrap();
    let error = wrong.ping().unwrap_err();
    let unusable = RedisHandler::connect("redis://:hunter2@:port/").unwrap_err();
    let builder = RedisHandler::builder(&url);
    for text in [
        format!("{redis:?}"),
        format!("{wrong:?}{error:?}{error}"),
        format!("{unusable:?}{unusable}"),
        format!("{builder:?}"),
        format!("{:?}", Config::new(redis.clone())),
    ] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn unix_sockets_databases_and_users_work() {
    let server = Server::with(&["--unixsocket", "socket"]);
    server.command(&["ACL", "SETUSER", "limits", "on", ">secret", "~*", "+@all"]);
    let socket = server.directory().join("socket");
    let unix = RedisHandler::connect(format!("unix://{}", socket.display())).unwrap();
    unix.ping().unwrap();
    let other = RedisHandler::builder(server.url())
        .credentials("limits", "secret")
        .database(5);
    let limit = Limit::fixed_window(1, 60 * SECOND);
    let other = Throttle::with_handler(other.build().unwrap(), "t", limit);
    let here = Throttle::with_handler(unix, "t", limit);
    assert!(here.check("k").unwrap().allowed && other.check("k").unwrap().allowed);
    assert_eq!(server.keys().len(), 1, "two databases hold a key each");
}

/// Threads without a runtime, threads inside one, and tasks: all on one connection.
#[tokio::test]
async fn sync_calls_work_inside_a_runtime() {
    let server = Server::start();
    let throttle = Throttle::with_handler(
        config(&server),
        "mixed",
        Limit::fixed_window(3, 60 * SECOND),
    );
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
async fn dropped_waiters_give_back_what_they_took() {
    let server = Server::start();
    let limit = Limit::leaky_bucket(1, 60 * SECOND).bucket_size(3);
    let throttle = Throttle::with_handler(config(&server), "queue", limit);
    throttle.acquire_async("k").await.unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.acquire_async("k").await })
        })
        .collect();
    let remaining = async || throttle.peek_async("k").await.unwrap().remaining;
    eventually_async("all slots are taken", async || remaining().await == 0).await;
    waiters[1].abort();
    eventually_async("one slot is free", async || remaining().await == 1).await;
    waiters.iter().for_each(tokio::task::JoinHandle::abort);
    eventually_async("three slots are free", async || remaining().await == 3).await;

    // Cut off in the middle of a call, at many points of it.
    let limit = Limit::token_bucket(1_000, 3_600 * SECOND);
    let throttle = Throttle::with_handler(config(&server), "cut", limit);
    throttle.peek_async("k").await.unwrap();
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
    tokio::time::sleep(Duration::from_millis(200)).await;
    let taken = 1_000 - throttle.peek_async("k").await.unwrap().remaining;
    assert!(
        (completed..=completed + 2).contains(&taken),
        "{taken} were taken for {completed} calls, {cut} were cut off"
    );
}

/// What a call took that nobody wants any more is not taken from the next window.
#[tokio::test]
async fn an_answer_that_comes_late_gives_nothing_back_to_the_next_window() {
    let server = Server::start();
    let period = Duration::from_millis(300);
    for (limit, name) in [
        (Limit::fixed_window(3, period), "fixed"),
        (Limit::sliding_log(3, period), "log"),
    ] {
        let throttle = Throttle::with_handler(config(&server), name, limit);
        let mut call = Box::pin(throttle.check_async("k"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        // The task is busy with something else while a new window begins.
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
async fn waiting_over_redis_is_in_order_and_at_the_rate() {
    let server = Server::start();
    let limit = Limit::token_bucket(20, SECOND).burst(1);
    let throttle = Throttle::with_handler(config(&server), "wait", limit).wait();
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

/// What a key costs; the documentation of the handler states these numbers.
#[test]
fn a_key_is_smaller_than_a_hash_would_be() {
    let server = Server::start();
    server.command(&[
        "HSET",
        "premier:api:hash:user-123456789",
        "tokens",
        "99.5",
        "at",
        "1790000000000000",
    ]);
    let bytes = |key: &str| -> u32 {
        let reply = server.command(&["MEMORY", "USAGE", key]);
        reply.trim_start_matches(':').trim().parse().unwrap()
    };
    let hash = bytes("premier:api:hash:user-123456789");
    for (algo, most) in [
        (Algo::FixedWindow, 120),
        (Algo::SlidingWindow, 128),
        (Algo::TokenBucket, 96),
        (Algo::LeakyBucket, 96),
    ] {
        let api =
            Throttle::with_handler(config(&server), "api", Limit::new(algo, 100, 60 * SECOND));
        api.check("user-12345").unwrap();
        let key = format!("premier:api:{algo}:user-12345");
        let used = bytes(&key);
        println!("{algo}: {used} bytes, a hash {hash}");
        assert!(
            used <= most && used < hash,
            "{algo}: {used} bytes, a hash {hash}"
        );
        server.command(&["DEL", &key]);
    }
    let log = Limit::sliding_log(500, 3_600 * SECOND);
    let log = Throttle::with_handler(config(&server), "log", log);
    for _ in 0..500 {
        log.check("user-12345").unwrap();
    }
    let used = bytes("premier:log:sliding_log:user-12345");
    println!("sliding_log: {used} bytes for 500 units");
    assert!(used <= 20_000, "{used}");
}

/// `rediss://` with a certificate of our own.
#[test]
fn tls_works_and_checks_the_certificate() {
    let directory = tempdir();
    let file = |name: &str| directory.join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", &file("key"), "-out", &file("certificate")])
        .output()
        .expect("openssl must be installed: ./tests/run does that");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = premier_tests::redis::free_port();
    let server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("certificate"),
        "--tls-key-file",
        &file("key"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}/");
    let trusted = RedisHandler::builder(&url)
        .root_certificate(std::fs::read(file("certificate")).unwrap())
        .build()
        .unwrap();
    trusted.ping().unwrap();
    let limit = Limit::fixed_window(1, 60 * SECOND);
    assert!(
        Throttle::with_handler(trusted, "tls", limit)
            .check("k")
            .unwrap()
            .allowed
    );
    assert_eq!(server.keys().len(), 1);
    assert!(
        RedisHandler::connect(&url).unwrap().ping().is_err(),
        "nobody vouches for it"
    );

    // A cluster's nodes are reached in the same way when it is cleared.
    let low_port = || {
        std::iter::repeat_with(premier_tests::redis::free_port)
            .find(|port| *port < 50_000)
            .unwrap()
    };
    let port = low_port();
    let node = Server::on(
        low_port(),
        &[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("certificate"),
            "--tls-key-file",
            &file("key"),
            "--tls-ca-cert-file",
            &file("certificate"),
            "--tls-auth-clients",
            "no",
            "--cluster-enabled",
            "yes",
            "--tls-cluster",
            "yes",
            "--cluster-announce-ip",
            "127.0.0.1",
        ],
    );
    let slots: Vec<String> = (0..16_384).map(|slot: u32| slot.to_string()).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    node.command(&add);
    let began = Instant::now();
    while !node
        .command(&["CLUSTER", "INFO"])
        .contains("cluster_state:ok")
    {
        assert!(began.elapsed() < 20 * SECOND);
        thread::sleep(Duration::from_millis(20));
    }
    let cluster = RedisHandler::cluster([format!("rediss://127.0.0.1:{port}/")])
        .root_certificate(std::fs::read(file("certificate")).unwrap())
        .build()
        .unwrap();
    let throttle = Throttle::with_handler(cluster.clone(), "tls", limit);
    assert!(throttle.check("k").unwrap().allowed);
    cluster.clear("premier").unwrap();
    assert!(node.keys().is_empty(), "{:?}", node.keys());
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("premier-tls-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
