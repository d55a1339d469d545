//! A shared cache logs each change of its state once, under the target of premier's other events.
#![forbid(unsafe_code)]

use std::sync::Mutex;

use premier::{Config, cache};
use premier_tests::listener::Listener;
use premier_tests::redis::Server;
use premier_tests::waits::eventually;
use tracing::{Level, Metadata};

static MESSAGES: Mutex<Vec<(&'static str, Level, String)>> = Mutex::new(Vec::new());

/// Keeps a message.
fn keep(metadata: &Metadata<'static>, text: String) {
    let is_of_cache = text.contains("cache=");
    MESSAGES
        .lock()
        .unwrap()
        .push((metadata.target(), *metadata.level(), text));
    if is_of_cache {
        // A subscriber may use the cache that emits the event, also with the same key.
        user(0);
    }
}

/// The messages about caches since the previous call. All of them must be about this cache.
fn messages(of: &str) -> Vec<(Level, String)> {
    let all = std::mem::take(&mut *MESSAGES.lock().unwrap());
    let of_cache = all.into_iter().filter(|(.., text)| text.contains("cache="));
    of_cache
        .map(|(target, level, text)| {
            assert_eq!(target, "premier", "{text}");
            assert!(text.contains(&format!("cache={of:?}")), "{text}");
            (level, text)
        })
        .collect()
}

#[cache(name = "user", ttl = "1h", key = id)]
fn user(id: u64) -> u64 {
    id
}

#[test]
fn an_outage_is_logged_when_it_begins_and_when_it_ends() {
    let listener = Listener::new(|metadata| *metadata.level() <= Level::INFO, keep);
    tracing::subscriber::set_global_default(listener).unwrap();
    let mut server = Server::start();
    let redis = server.handler();
    premier::config(Config::new(redis.clone()).keyspace("log")).unwrap();
    for id in 0..10 {
        user(id);
    }
    assert_eq!(messages("user"), []);

    server.kill();
    for id in 0..100 {
        user(id);
    }
    let begin = messages("user");
    assert_eq!(begin.len(), 1, "{begin:?}");
    assert_eq!(begin[0].0, Level::WARN);
    assert!(begin[0].1.contains("the shared cache does not answer"));

    server.restart();
    eventually("redis is back", || redis.status().up);
    for id in 0..100 {
        user(id);
    }
    let end = messages("user");
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!(end[0].0, Level::INFO);
    assert!(end[0].1.contains("the shared cache answers again"));

    // Values of another version of the program.
    for id in 0..10 {
        let key = format!("log:cache:user:{id}");
        server.command(&["SET", &key, "another version", "PX", "60000"]);
        user(id);
    }
    let unreadable = messages("user");
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    assert!(unreadable[0].1.contains("could not be read"));
}
