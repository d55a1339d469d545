//! A user with exactly the permissions that the manual lists can do everything, and is back after every
//! outage.

use std::thread;
use std::time::{Duration, Instant};

use premier::algorithms::Plan;
use premier::{Error, Handler, Key, Limit, Operation, RedisHandler, Request, Throttle};
use premier_tests::redis::{Cluster, Sentinels, Server};
use premier_tests::waits::eventually;

use super::{ALL, SECOND};

/// The words of the command by which the manual creates the user.
fn set_user() -> Vec<&'static str> {
    let manual = include_str!("../../../premier/src/lib.rs");
    let line = manual
        .lines()
        .find(|line| line.starts_with("//! ACL SETUSER "))
        .unwrap();
    line.split_whitespace().skip(1).collect()
}

/// The further permissions for a cluster.
const CLUSTER: [&str; 3] = ["+cluster|slots", "+ping", "+asking"];

fn set_user_of_cluster() -> Vec<&'static str> {
    let manual = include_str!("../../../premier/src/lib.rs");
    assert!(manual.contains(&CLUSTER.join(" ")));
    [set_user(), CLUSTER.to_vec()].concat()
}

/// Carries out every operation on a key, with each algorithm alone and with all together.
fn operate(redis: &RedisHandler, key: &str) -> Result<(), Error> {
    let all = ALL.map(|algo| Plan::new(Limit::new(algo, 3, 3_600 * SECOND)).unwrap());
    let alone = all.iter().map(std::slice::from_ref);
    for (index, plans) in alone.chain([&all[..]]).enumerate() {
        let prefix = format!("premier:operate-{index}:x");
        let key = Key::new(&prefix, Some(key));
        let run = |operation| redis.handle(&Request::new(key, plans, operation));
        let longest = Duration::ZERO;
        let charge = Operation::Charge {
            units: 1,
            max_debt: None,
        };
        for (operation, allowed) in [
            (Operation::Reset, true),
            (Operation::Take(2), true),
            (Operation::Peek(1), true),
            (Operation::Take(3), false),
            (charge, true),
            (Operation::Refund(1), true),
        ] {
            assert_eq!(run(operation)?.allowed, allowed, "{operation:?}");
        }
        let slot = run(Operation::Reserve { cost: 1, longest })?;
        let release = Operation::Release(*slot.reservation(), 1);
        for operation in [release, Operation::Refund(3), Operation::Reset] {
            assert!(run(operation)?.allowed);
        }
    }
    let values = redis.values().unwrap();
    let key = Key::new("premier:values:x", Some(key));
    values.save(key, b"value".to_vec(), 60 * SECOND);
    let began = Instant::now();
    while values.load(key)?.is_none() {
        assert!(began.elapsed() < 20 * SECOND, "the value is saved");
    }
    values.forget(key)?;
    assert_eq!(values.load(key)?, None);
    let (_, token) = values.load_or_begin(key, Duration::ZERO)?;
    values.abandon(key, token.clone().unwrap());
    values.save_begun(key, b"value".to_vec(), 60 * SECOND, token.unwrap());
    let began = Instant::now();
    while values.load_or_begin(key, Duration::ZERO)?.0.is_none() {
        assert!(began.elapsed() < 20 * SECOND, "the value is saved");
    }
    values.forget(key)?;
    redis.ping()
}

fn builder(builder: premier::RedisBuilder) -> RedisHandler {
    builder.credentials("limits", "secret").build().unwrap()
}

#[test]
fn the_user_can_do_everything_on_one_server_and_after_its_restart() {
    let user = set_user();
    let mut server = Server::with(&[&["--user"], &user[2..]].concat());
    let redis = builder(server.builder());
    operate(&redis, "k").unwrap();

    server.kill();
    assert!(operate(&redis, "k").is_err() && !redis.status().up);
    server.restart();
    eventually("the server is back", || redis.status().up);
    operate(&redis, "k").unwrap();

    // States in which a server answers, but does not decide.
    for (begin, end) in [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    ] {
        server.command(&begin.split(' ').collect::<Vec<_>>());
        assert!(operate(&redis, "new").is_err() && !redis.status().up);
        assert!(redis.ping().is_err());
        server.command(&end.split(' ').collect::<Vec<_>>());
        eventually("the server decides again", || redis.status().up);
        operate(&redis, "new").unwrap();
    }

    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let throttle = Throttle::new("cleared", limit).with_config(redis.clone());
    assert!(throttle.check("k").unwrap().allowed);
    redis.clear("premier").unwrap();
    assert!(throttle.check("k").unwrap().allowed);
}

#[test]
fn the_user_can_do_everything_behind_sentinels_and_after_a_failover() {
    let mut sentinels = Sentinels::start();
    for server in &sentinels.data {
        server.command(&set_user());
    }
    let urls = sentinels.urls();
    let redis = builder(RedisHandler::sentinel(Sentinels::SERVICE, urls));
    operate(&redis, "k").unwrap();
    sentinels.fail_over();
    let killed = Instant::now();
    while operate(&redis, "k").is_err() {
        assert!(killed.elapsed() < 30 * SECOND, "no failover");
        thread::sleep(Duration::from_millis(10));
    }
    redis.clear("premier").unwrap();
}

#[test]
fn the_user_can_do_everything_in_a_cluster_and_after_a_failover() {
    let mut cluster = Cluster::start();
    for node in &cluster.nodes {
        node.command(&set_user_of_cluster());
    }
    let redis = builder(cluster.builder());
    let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
    for key in &keys {
        operate(&redis, key).unwrap();
    }
    cluster.fail_over(1);
    let killed = Instant::now();
    while keys.iter().any(|key| operate(&redis, key).is_err()) {
        assert!(killed.elapsed() < 30 * SECOND, "no failover");
        thread::sleep(Duration::from_millis(10));
    }
    redis.clear("premier").unwrap();
}

#[test]
fn an_error_says_that_a_user_may_not_run_scripts() {
    let server = Server::start();
    server.command(&[
        "ACL",
        "SETUSER",
        "limits",
        "on",
        ">secret",
        "~premier:*",
        "+get",
    ]);
    let redis = builder(server.builder());
    let error = redis.ping().unwrap_err().to_string();
    assert!(error.contains("no permissions to run"), "{error}");
    assert!(redis.status().up, "the server answers");
}

#[test]
fn a_user_of_another_keyspace_can_ping() {
    let server = Server::start();
    let mut user = set_user();
    let keys = user.iter_mut().find(|word| word.starts_with('~'));
    *keys.unwrap() = "~shop:*";
    server.command(&user);
    let redis = builder(server.builder());
    redis.ping().unwrap();
    let config = premier::Config::new(redis).keyspace("shop");
    let throttle = Throttle::new("t", Limit::token_bucket(1, SECOND)).with_config(config);
    assert!(throttle.check("k").unwrap().allowed);
}
