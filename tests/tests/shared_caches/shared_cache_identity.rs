//! Without a `key`, a value that is shared through Redis belongs to the arguments of its call.
#![forbid(unsafe_code)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::{Config, cache};
use premier_tests::redis::Server;
use serde::{Deserialize, Serialize};

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let server = Server::start();
    let redis = server.handler();
    premier::config(Config::new(redis).keyspace("shop")).unwrap();
    server
});

/// A number that no other call gets.
fn next() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::SeqCst) + 1
}

/// Every value displays the same text.
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct Reader(u32);

impl std::fmt::Display for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("reader")
    }
}

#[test]
fn shared_values_belong_to_the_arguments_and_not_to_their_text() {
    #[cache(name = "greeting", ttl = "60s")]
    fn greeting(reader: Reader) -> (u32, u32) {
        (reader.0, next())
    }
    let server = &*SERVER;
    let first = greeting(Reader(1));
    assert_eq!(greeting(Reader(1)), first, "it is shared");
    assert!(
        server
            .keys()
            .iter()
            .any(|key| key.ends_with(":cache:greeting:reader"))
    );
    let other = greeting(Reader(2));
    assert_eq!(other.0, 2);
    assert_eq!(greeting(Reader(2)), other);
    assert_eq!(greeting(Reader(1)).0, 1);
}

/// What serde leaves out could make two arguments look alike to other processes.
#[test]
fn values_of_arguments_that_do_not_read_back_stay_in_the_process() {
    #[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
    struct Query {
        id: u32,
        #[serde(skip)]
        tenant: u32,
    }

    #[cache(name = "secret", ttl = "60s")]
    fn secret(query: Query) -> (u32, u32) {
        (query.tenant, next())
    }
    #[cache(name = "nested", ttl = "60s")]
    fn nested(value: Option<Option<u32>>) -> String {
        format!("{value:?}")
    }
    let server = &*SERVER;
    for tenant in [1, 2, 1] {
        assert_eq!(secret(Query { id: 1, tenant }).0, tenant);
    }
    assert!(
        !server
            .keys()
            .iter()
            .any(|key| key.contains(":cache:secret"))
    );
    assert_eq!([nested(Some(None)), nested(None)], ["Some(None)", "None"]);
    assert_eq!([nested(Some(None)), nested(None)], ["Some(None)", "None"]);
}

#[test]
fn values_of_arguments_without_serde_stay_in_the_process() {
    #[derive(Clone, Eq, Hash, PartialEq)]
    struct Local(u32);

    #[cache(name = "local", ttl = "60s")]
    fn local(value: Local, text: &str) -> u32 {
        let _ = (value, text);
        next()
    }
    let server = &*SERVER;
    let first = local(Local(1), "a");
    assert_eq!(local(Local(1), "a"), first);
    assert_ne!(local(Local(2), "a"), first);
    assert!(!server.keys().iter().any(|key| key.contains(":cache:local")));
}

/// Their type can be read for `'static` only, which turning on `redis` must not make an error of.
#[test]
fn values_with_a_lifetime_stay_in_the_process() {
    #[cache(name = "static", ttl = "60s")]
    fn names(kind: u32) -> Vec<&'static str> {
        next();
        if kind == 1 { vec!["one"] } else { Vec::new() }
    }
    let server = &*SERVER;
    assert_eq!(names(1), ["one"]);
    assert!(names(2).is_empty());
    assert!(
        !server
            .keys()
            .iter()
            .any(|key| key.contains(":cache:static"))
    );
}
