//! `clear` deletes the keys of one keyspace and no other key.

use premier::{Config, Handler, Limit, Throttle};
use premier_tests::redis::{Cluster, Server};

use super::SECOND;

#[test]
fn clear_deletes_no_key_of_another_keyspace() {
    let server = Server::start();
    let limit = Limit::fixed_window(1, 3_600 * SECOND);
    server.command(&["SET", "foreign", "1"]);
    server.command(&["SET", "shopping:x", "1"]);
    let redis = server.handler();
    let make = |keyspace: &str| {
        let config = Config::new(redis.clone()).keyspace(keyspace);
        Throttle::new("t", limit).with_config(config)
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
fn clear_deletes_the_keys_of_every_master_and_a_group_stays_in_one_slot() {
    let cluster = Cluster::start();
    let redis = cluster.handler();
    let limits = [
        Limit::token_bucket(2, SECOND),
        Limit::fixed_window(3, 3_600 * SECOND),
    ];
    let group = Throttle::all("group", &limits).with_config(redis.clone());
    let one = Throttle::new("one", limits[1]).with_config(redis.clone());
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
    // A replica may hold the foreign key too, and the key may belong to another node.
    assert!(left <= 2, "{left} keys are left");
}
