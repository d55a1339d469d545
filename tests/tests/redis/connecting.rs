//! Connections: credentials, Unix sockets and databases.

use premier::{Config, Limit, RedisHandler, Throttle};
use premier_tests::redis::Server;

use super::SECOND;

#[test]
fn passwords_appear_in_no_message() {
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
fn a_connection_may_use_a_unix_socket_a_database_or_a_user() {
    let server = Server::with(&["--unixsocket", "socket"]);
    server.command(&["ACL", "SETUSER", "limits", "on", ">secret", "~*", "+@all"]);
    let socket = server.directory().join("socket");
    let unix = RedisHandler::connect(format!("unix://{}", socket.display())).unwrap();
    unix.ping().unwrap();
    let other = RedisHandler::builder(server.url())
        .credentials("limits", "secret")
        .database(5);
    let limit = Limit::fixed_window(1, 60 * SECOND);
    let other = Throttle::new("t", limit).with_config(other.build().unwrap());
    let here = Throttle::new("t", limit).with_config(unix);
    assert!(here.check("k").unwrap().allowed && other.check("k").unwrap().allowed);
    assert_eq!(server.keys().len(), 1, "two databases hold a key each");
}
