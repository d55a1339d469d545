//! A server that may evict the keys of limits is warned of.

use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use premier::{Limit, RedisHandler, Throttle};
use premier_tests::listener::{Listener, is_of_premier};
use premier_tests::redis::{Cluster, Server};
use premier_tests::waits::eventually;
use tracing::Level;

use super::SECOND;

/// The warnings of this process about eviction.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The warnings about the server at this address.
fn warnings(address: &str) -> Vec<String> {
    let warnings = WARNINGS.lock().unwrap();
    let about = warnings.iter().filter(|text| text.contains(address));
    about.cloned().collect()
}

fn subscribe() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let listener = Listener::new(
            |metadata| is_of_premier(metadata) && *metadata.level() == Level::WARN,
            |_, text| {
                if text.contains("evict") {
                    WARNINGS.lock().unwrap().push(text);
                }
            },
        );
        tracing::subscriber::set_global_default(listener).unwrap();
    });
}

fn decide(redis: &RedisHandler) {
    let limit = Limit::token_bucket(1_000, SECOND);
    let throttle = Throttle::new("evicted", limit).with_config(redis.clone());
    assert!(throttle.check("k").unwrap().allowed);
}

#[test]
fn a_server_that_evicts_keys_in_use_is_warned_of_once() {
    subscribe();
    let server = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let address = format!("127.0.0.1:{}", server.port());
    let redis = server.handler();
    decide(&redis);
    eventually("a warning", || !warnings(&address).is_empty());
    redis.ping().unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("it is connected again", || redis.ping().is_ok());
    thread::sleep(Duration::from_millis(200));
    let warnings = warnings(&address);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("allkeys-lru"), "{warnings:?}");
}

#[test]
fn a_policy_that_is_set_later_is_found_by_ping() {
    subscribe();
    let server = Server::with(&["--maxmemory", "100mb"]);
    let address = format!("127.0.0.1:{}", server.port());
    let redis = server.handler();
    decide(&redis);
    redis.ping().unwrap();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    redis.ping().unwrap();
    eventually("a warning", || !warnings(&address).is_empty());
    assert!(warnings(&address)[0].contains("volatile-lru"));
}

/// A connection and a `ping` to each of these, with nothing to be read in the log.
#[test]
fn other_servers_are_not_warned_of() {
    subscribe();
    let user = "limits on >secret ~* +evalsha +eval +time +get +set +unlink";
    let user: Vec<&str> = user.split(' ').collect();
    for (arguments, credentials) in [
        (
            vec!["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"],
            None,
        ),
        (
            vec!["--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"],
            None,
        ),
        (vec!["--maxmemory-policy", "allkeys-lru"], None),
        // Without permission to ask.
        (
            [
                &[
                    "--maxmemory",
                    "100mb",
                    "--maxmemory-policy",
                    "allkeys-lru",
                    "--user",
                ],
                &*user,
            ]
            .concat(),
            Some(("limits", "secret")),
        ),
    ] {
        let server = Server::with(&arguments);
        let mut builder = server.builder();
        if let Some((user, password)) = credentials {
            builder = builder.credentials(user, password);
        }
        let redis = builder.build().unwrap();
        decide(&redis);
        redis.ping().unwrap();
        thread::sleep(Duration::from_millis(200));
        let warnings = warnings(&format!("127.0.0.1:{}", server.port()));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn a_node_of_a_cluster_is_asked() {
    subscribe();
    let cluster = Cluster::start();
    for node in &cluster.nodes {
        node.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
        node.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    }
    let redis = cluster.handler();
    redis.ping().unwrap();
    eventually("a warning", || !warnings("a cluster").is_empty());
}
