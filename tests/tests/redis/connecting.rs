//! Connections: credentials, Unix sockets, databases, protocols, names, keepalive and hashed keys.

use premier::{Config, Limit, RedisHandler, Throttle};
use premier_tests::old_proxy::OldProxy;
use premier_tests::redis::{Sentinels, Server};
use premier_tests::waits::eventually;

use super::SECOND;

fn decides(redis: &RedisHandler) -> bool {
    let limit = Limit::token_bucket(1_000, SECOND);
    let throttle = Throttle::new("decides", limit).with_config(redis.clone());
    throttle.check("k").is_ok_and(|decision| decision.allowed)
}

/// The line of `CLIENT LIST` for the connection with this name.
fn client(server: &Server, name: &str) -> Option<String> {
    let list = server.command(&["CLIENT", "LIST"]);
    let named = format!(" name={name} ");
    let mut lines = list.lines();
    lines.find(|line| line.contains(&named)).map(str::to_owned)
}

#[test]
fn passwords_appear_in_no_message() {
    let server = Server::with(&["--requirepass", "hunter2"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}/3", server.port());
    let redis = RedisHandler::connect(&url).unwrap();
    redis.ping().unwrap();
    let wrong = server.builder().password("wrong-hunter").build().unwrap();
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
fn a_connection_may_use_a_unix_socket_a_database_or_a_user() {
    let server = Server::with(&["--unixsocket", "socket"]);
    server.command(&["ACL", "SETUSER", "limits", "on", ">secret", "~*", "+@all"]);
    let socket = server.directory().join("socket");
    let unix = RedisHandler::connect(format!("unix://{}", socket.display())).unwrap();
    unix.ping().unwrap();
    let other = server.builder().credentials("limits", "secret").database(5);
    let limit = Limit::fixed_window(1, 60 * SECOND);
    let other = Throttle::new("t", limit).with_config(other.build().unwrap());
    let here = Throttle::new("t", limit).with_config(unix);
    assert!(here.check("k").unwrap().allowed && other.check("k").unwrap().allowed);
    assert_eq!(server.keys().len(), 1, "two databases hold a key each");
}

#[test]
fn the_url_may_name_the_protocol() {
    let server = Server::start();
    for (name, query, resp) in [
        ("default", "", "resp=3"),
        ("two", "?protocol=resp2", "resp=2"),
        ("three", "?protocol=resp3", "resp=3"),
    ] {
        let redis = RedisHandler::builder(server.url() + query)
            .client_name(name)
            .build()
            .unwrap();
        assert!(decides(&redis));
        eventually("the connection has its name", || {
            client(&server, name).is_some()
        });
        let line = client(&server, name).unwrap();
        assert!(line.contains(resp), "{line}");
    }
    assert!(RedisHandler::connect(server.url() + "?protocol=resp9").is_err());
}

#[test]
fn with_resp2_a_closed_connection_is_replaced() {
    let server = Server::start();
    let redis = RedisHandler::connect(server.url() + "?protocol=resp2").unwrap();
    assert!(decides(&redis));
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("calls are decided again", || decides(&redis));
    assert_eq!(redis.status().outages, 0);
}

#[test]
fn a_proxy_may_refuse_hello() {
    let server = Server::with(&["--requirepass", "secret"]);
    let proxy = OldProxy::to(server.port());
    let redis = RedisHandler::builder(proxy.url() + "2")
        .password("secret")
        .build()
        .unwrap();
    redis.ping().unwrap();
    assert!(decides(&redis));
    assert_eq!(proxy.refused(), 1);

    // From then on premier sends no `HELLO`.
    for _ in 0..3 {
        let kill = std::process::Command::new("redis-cli")
            .args(["-p", &server.port().to_string(), "-a", "secret"])
            .args(["CLIENT", "KILL", "TYPE", "normal"])
            .output();
        assert!(kill.unwrap().status.success());
        eventually("calls are decided again", || decides(&redis));
    }
    assert_eq!(proxy.refused(), 1);

    let resp2 = RedisHandler::builder(proxy.url() + "?protocol=resp2").password("secret");
    assert!(decides(&resp2.build().unwrap()));
    assert_eq!(proxy.refused(), 1);
    let wrong = RedisHandler::builder(proxy.url()).password("wrong").build();
    let error = wrong.unwrap().ping().unwrap_err().to_string();
    assert!(error.contains("authenticat"), "{error}");
}

#[test]
fn a_connection_is_named_premier_unless_another_name_is_set() {
    let server = Server::start();
    let connect = |name: Option<&str>| {
        let builder = server.builder();
        let redis = match name {
            Some(name) => builder.client_name(name).build(),
            None => builder.build(),
        };
        let redis = redis.unwrap();
        assert!(decides(&redis));
        redis
    };
    let _default = connect(None);
    eventually("the default name", || client(&server, "premier").is_some());
    let _other = connect(Some("checkout"));
    eventually("another name", || client(&server, "checkout").is_some());
    server.command(&["CONFIG", "RESETSTAT"]);
    let _none = connect(Some(""));
    let stats = server.command(&["INFO", "commandstats"]);
    assert!(!stats.contains("cmdstat_client|set"), "{stats}");
    let refused = server.builder().client_name("a b").build();
    assert!(refused.unwrap_err().to_string().contains("client name"));
}

#[test]
fn a_name_finds_the_master_behind_sentinels() {
    let sentinels = Sentinels::start();
    let redis = RedisHandler::sentinel(Sentinels::SERVICE, sentinels.urls())
        .client_name("behind")
        .build()
        .unwrap();
    assert!(decides(&redis));
    let master = &sentinels.data[0];
    eventually("the name", || client(master, "behind").is_some());
}

#[test]
fn idle_connections_are_probed_by_tcp() {
    let server = Server::with(&["--tcp-keepalive", "0"]);
    // The timers of this process's connections to the server: 2 is that of keepalive.
    let timers = || -> Vec<String> {
        let remote = format!("0100007F:{:04X}", server.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.get(2) == Some(&&*remote) && row.get(3) == Some(&"01"))
            .map(|row| row[5].to_owned())
            .collect()
    };
    let on = server.handler();
    assert!(decides(&on));
    eventually("keepalive is on", || {
        timers().iter().any(|timer| timer.starts_with("02:"))
    });
    drop(on);
    let off = server.builder().tcp_keepalive(None).build().unwrap();
    assert!(decides(&off));
    eventually("keepalive is off", || {
        let timers = timers();
        !timers.is_empty() && timers.iter().all(|timer| timer.starts_with("00:"))
    });
    let short = std::time::Duration::from_millis(500);
    let refused = server.builder().tcp_keepalive(short).build();
    assert!(refused.unwrap_err().to_string().contains("keepalive"));
}

#[test]
fn hashed_keys_appear_nowhere() {
    let server = Server::with(&["--slowlog-log-slower-than", "0"]);
    let redis = server.builder().hash_keys(true).build().unwrap();
    let limits = [
        Limit::fixed_window(2, 60 * SECOND),
        Limit::sliding_log(3, 60 * SECOND),
    ];
    let (one, both) = (
        Throttle::new("one", limits[0]).with_config(redis.clone()),
        Throttle::all("both", &limits).with_config(redis.clone()),
    );
    for throttle in [&one, &both] {
        assert!(throttle.check("alice").unwrap().allowed && throttle.check("bob").unwrap().allowed);
        assert!(throttle.check("alice").unwrap().allowed);
        assert!(!throttle.check("alice").unwrap().allowed);
        assert_eq!(throttle.peek("bob").unwrap().remaining, 1);
        throttle.refund("alice", 1).unwrap();
        assert!(throttle.check("alice").unwrap().allowed);
        throttle.reset("alice").unwrap();
        assert_eq!(throttle.peek("alice").unwrap().remaining, 2);
    }
    let keys = server.keys().join(" ");
    let slowlog = server.command(&["SLOWLOG", "GET", "1000"]);
    for shown in [keys, slowlog] {
        assert!(shown.contains("premier:one:fixed_window:%#"), "{shown}");
        assert!(
            !shown.contains("alice") && !shown.contains("bob"),
            "{shown}"
        );
    }
}
