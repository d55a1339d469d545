//! What Redis stores: how long, how much, and under which keys.

use std::time::Instant;

use premier::{Algo, Error, Limit, Throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, until_denied};

use super::{ALL, SECOND, config};

#[test]
fn a_key_expires_when_it_has_no_debt_and_not_earlier() {
    let server = Server::start();
    let period = SECOND;
    for algo in ALL {
        let throttle =
            Throttle::new("short", Limit::new(algo, 3, period)).with_config(config(&server));
        until_denied("a key", || throttle.check("k").unwrap().allowed);
        let key = server.keys().remove(0);
        let began = Instant::now();
        let ttl = server.command(&["PTTL", &key]);
        let ttl: u64 = ttl.trim_start_matches(':').trim().parse().unwrap();
        let reset = throttle.peek("k").unwrap().reset_after.as_millis() as u64;
        // The remaining debt was read later.
        let later = began.elapsed().as_millis() as u64;
        assert!(
            ttl + 1 >= reset && ttl <= reset + later + 100,
            "{algo}: {ttl} ms for {reset} ms"
        );
        assert_eq!(server.keys().len(), 1, "{algo}");
        eventually("the key expires", || server.keys().is_empty());
    }
}

#[test]
fn denials_and_peeks_store_nothing() {
    let server = Server::start();
    for algo in ALL {
        let throttle =
            Throttle::new("ask", Limit::new(algo, 5, SECOND)).with_config(config(&server));
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

/// The documentation of the handler states these sizes.
#[test]
fn a_key_uses_less_memory_than_a_hash() {
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
            Throttle::new("api", Limit::new(algo, 100, 60 * SECOND)).with_config(config(&server));
        api.acquire("user-12345").unwrap();
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
    let log = Throttle::new("log", log).with_config(config(&server));
    for _ in 0..500 {
        log.acquire("user-12345").unwrap();
    }
    let used = bytes("premier:log:sliding_log:user-12345");
    println!("sliding_log: {used} bytes for 500 units");
    assert!(used <= 20_000, "{used}");
}

#[test]
fn hostile_keys_are_stored_as_plain_keys() {
    let server = Server::start();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    let throttle = Throttle::new("hostile", limit).with_config(config(&server));
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
