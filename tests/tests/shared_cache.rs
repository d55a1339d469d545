//! `#[cache]` with a Redis handler shares values that implement serde's traits, and never turns a
//! failure of the store into an error.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use premier::{Config, cache};
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, eventually, finishes, joined};
use serde::{Deserialize, Serialize};

static SERVER: LazyLock<Mutex<Server>> = LazyLock::new(|| {
    let server = Server::start();
    premier::config(Config::new(server.handler()).keyspace("shop")).unwrap();
    Mutex::new(server)
});

static CALLS: AtomicU32 = AtomicU32::new(0);

fn next() -> u32 {
    CALLS.fetch_add(1, Ordering::SeqCst) + 1
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct User {
    id: u64,
    visits: u32,
}

#[cache(name = "user", ttl = "60s", stale = "5s", key = id)]
fn user(id: u64) -> Result<User, String> {
    Ok(User { id, visits: next() })
}

#[cache(name = "user", ttl = "60s", stale = "5s", key = id)]
async fn user_elsewhere(id: u64) -> Result<User, String> {
    Ok(User { id, visits: next() })
}

static SLOWS: AtomicU32 = AtomicU32::new(0);

/// Whether the renewal of `slow` may end.
static ENDS: AtomicBool = AtomicBool::new(false);

#[cache(name = "slow", ttl = "60s", stale = "1h", key = id)]
fn slow(id: u64) -> u32 {
    let _ = id;
    let call = SLOWS.fetch_add(1, Ordering::SeqCst) + 1;
    if call > 1 {
        eventually("the renewal may end", || ENDS.load(Ordering::SeqCst));
    }
    call
}

static NANS: AtomicU32 = AtomicU32::new(0);

#[cache(name = "nan", ttl = "60s")]
fn not_a_number() -> f64 {
    NANS.fetch_add(1, Ordering::SeqCst);
    f64::NAN
}

/// Does not implement serde's traits, so its values stay in this process.
#[derive(Clone, Debug)]
struct Local(u32);

#[cache(name = "local", ttl = 60)]
fn local() -> Local {
    Local(next())
}

#[cache(name = "no-ttl")]
fn without_ttl() -> u32 {
    next()
}

fn written(server: &Server, key: &str) -> String {
    let mut value = String::new();
    eventually("the value is written", || {
        value = server.command(&["GET", key]);
        !value.starts_with("$-1")
    });
    value
}

/// One test, because it kills the server that all functions share.
#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn values_are_shared_and_a_failing_store_causes_no_error() {
    let mut server = SERVER.lock().unwrap();

    // Two functions with one name act as two processes: the second uses the value of the first.
    let first = user(7).unwrap();
    written(&server, "shop:cache:user:7");
    assert_eq!(user(7).unwrap(), first);
    assert_eq!(user_elsewhere(7).await.unwrap(), first);
    let ttl: u64 = server
        .command(&["PTTL", "shop:cache:user:7"])
        .trim_start_matches(':')
        .trim()
        .parse()
        .unwrap();
    assert!((60_000..=65_000).contains(&ttl), "{ttl}");

    // A value that another process invalidates is not kept in this process.
    cache::invalidate("user", &7).unwrap();
    assert_ne!(user_elsewhere(7).await.unwrap(), first);
    let second = user(7).unwrap();
    server.command(&["DEL", "shop:cache:user:7"]);
    assert_ne!(user(7).unwrap(), second);

    // A stale value is renewed.
    server.command(&["PEXPIRE", "shop:cache:user:7", "4000"]);
    let third = user(7).unwrap();
    assert_eq!(third.visits, CALLS.load(Ordering::SeqCst));

    // While one caller renews the value, all others receive the stale value at once.
    assert_eq!(slow(1), 1);
    written(&server, "shop:cache:slow:1");
    server.command(&["PEXPIRE", "shop:cache:slow:1", "3000000"]);
    let renewing = std::thread::spawn(|| slow(1));
    eventually("the value is being renewed", || {
        SLOWS.load(Ordering::SeqCst) == 2
    });
    assert_eq!(finishes("the stale value is returned", || slow(1)), 1);
    ENDS.store(true, Ordering::SeqCst);
    assert_eq!(joined("the renewal ends", renewing).unwrap(), 2);

    // A value that JSON cannot represent stays in this process, and is still computed once.
    assert!(not_a_number().is_nan() && not_a_number().is_nan());
    assert_eq!(NANS.load(Ordering::SeqCst), 1);
    assert!(not_a_number().is_nan());
    assert_eq!(NANS.load(Ordering::SeqCst), 1);

    // A value of another version of the type, or no value of the type at all, is a miss.
    let value = written(&server, "shop:cache:user:7");
    let json = value.split_once("\r\n").unwrap().1.trim_end();
    for other in [
        json.replace("\"visits\"", "\"views\""),
        json.replace('{', "{\"age\":3,"),
        json.replace("User", "Customer"),
        "garbage".to_owned(),
    ] {
        server.command(&["SET", "shop:cache:user:7", &other, "PX", "60000"]);
        let before = CALLS.load(Ordering::SeqCst);
        assert_eq!(user(7).unwrap().visits, before + 1, "{other}");
        eventually("the value is written over", || {
            !server
                .command(&["GET", "shop:cache:user:7"])
                .contains(&other)
        });
    }
    server.command(&["DEL", "shop:cache:user:7"]);
    server.command(&["RPUSH", "shop:cache:user:7", "x"]);
    assert!(user(7).is_ok());

    assert_eq!(local().0, local().0);
    assert_eq!(without_ttl(), without_ttl());
    written(&server, "shop:cache:no-ttl:");
    server.assert_all_expire();

    cache::clear_async("user").await.unwrap();
    assert!(!server.keys().iter().any(|key| key.contains("user")));
    assert!(server.keys().iter().any(|key| key.contains("no-ttl")));

    // Without the server every call computes its value, and no call fails or waits long.
    server.kill();
    let began = Instant::now();
    for _ in 0..20 {
        assert!(user(7).is_ok());
        assert!(user_elsewhere(7).await.is_ok());
    }
    assert!(
        // The timeout of one call.
        began.elapsed() < LONGEST,
        "{:?}",
        began.elapsed()
    );
    assert!(cache::invalidate("user", &7).is_err());
}
