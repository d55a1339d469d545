//! An invalidation wins over every value whose computation began before it, in every process. Each scope stands for
//! a process, with its own configuration, caches and connection to Redis.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use premier::cache::{LoadToken, ValueStore};
use premier::testing::Scope;
use premier::{Config, Handler, Key, RedisHandler, cache};
use premier_tests::ports::free_port;
use premier_tests::redis::{Cluster, Server};
use premier_tests::waits::{eventually, joined, received};

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// A process of the fleet with this number: each test has its own.
fn process(fleet: u32) -> Scope {
    let redis = SERVER.handler();
    redis.ping().unwrap();
    Scope::new(Config::new(redis).keyspace(format!("fleet-{fleet}")))
}

/// The database that the functions read: the value of each id, and how often it was read.
static DATABASE: LazyLock<Mutex<HashMap<u32, (&'static str, u32)>>> = LazyLock::new(Mutex::default);

fn write(id: u32, value: &'static str) {
    let mut database = DATABASE.lock().unwrap_or_else(PoisonError::into_inner);
    database.entry(id).or_default().0 = value;
}

fn read(id: u32) -> &'static str {
    let mut database = DATABASE.lock().unwrap_or_else(PoisonError::into_inner);
    let row = database.entry(id).or_default();
    row.1 += 1;
    row.0
}

fn reads(id: u32) -> u32 {
    let database = DATABASE.lock().unwrap_or_else(PoisonError::into_inner);
    database.get(&id).map_or(0, |row| row.1)
}

/// The senders that end the computations in progress, by id.
static ENDS: LazyLock<Mutex<HashMap<u32, Vec<Sender<()>>>>> = LazyLock::new(Mutex::default);

/// Makes the next computations of an id wait.
fn hold(id: u32) -> Held {
    let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    ends.insert(id, Vec::new());
    Held(id)
}

struct Held(u32);

impl Held {
    fn release(self) {
        let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
        for end in ends.remove(&self.0).unwrap_or_default() {
            end.send(()).unwrap();
        }
    }
}

fn held(id: u32) -> Option<Receiver<()>> {
    let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    let (end, ended) = mpsc::channel();
    ends.get_mut(&id)?.push(end);
    Some(ended)
}

#[cache(name = "profile", ttl = "1h", key = id)]
fn profile(id: u32) -> Result<String, String> {
    let end = held(id);
    let value = read(id);
    if let Some(end) = end {
        received("the end of the computation", &end);
    }
    Ok(value.to_owned())
}

fn spawn(process: Scope, id: u32) -> JoinHandle<String> {
    thread::spawn(move || process.run(|| profile(id).unwrap()))
}

/// Calls of a process that come while another one computes.
fn spawn_waiting_callers(process: Scope, id: u32, count: usize) -> Vec<JoinHandle<String>> {
    let started = Arc::new(Barrier::new(count + 1));
    let calls = (0..count).map(|_| {
        let started = Arc::clone(&started);
        thread::spawn(move || {
            started.wait();
            value(process, id)
        })
    });
    let calls = calls.collect();
    started.wait();
    // Long enough for all callers to begin waiting, also on a busy machine.
    thread::sleep(Duration::from_millis(500));
    calls
}

/// A call of a process that has read the database and is not done.
fn begin(process: Scope, id: u32) -> JoinHandle<String> {
    let before = reads(id);
    let call = spawn(process, id);
    eventually("it computes", || reads(id) > before);
    call
}

fn value(process: Scope, id: u32) -> String {
    process.run(|| profile(id).unwrap())
}

/// The keys in Redis of a test's fleet. That of a token ends with a brace.
fn keys(id: u32) -> Vec<String> {
    let mut keys = SERVER.keys();
    keys.retain(|key| key.starts_with(&format!("fleet-{id}:cache:profile:")));
    keys
}

#[test]
fn a_value_from_before_an_invalidation_of_another_process_is_not_saved() {
    let [a, b, c] = [process(1), process(1), process(1)];
    write(1, "old");
    let held = hold(1);
    let begun = begin(a, 1);
    write(1, "new");
    b.run(|| cache::invalidate("profile", &1).unwrap());
    held.release();
    assert_eq!(joined("the earlier call ends", begun).unwrap(), "old");
    for process in [c, a, b] {
        assert_eq!(value(process, 1), "new");
    }
}

#[test]
fn a_value_from_before_another_process_has_cleared_the_cache_is_not_saved() {
    let [a, b] = [process(2), process(2)];
    write(2, "old");
    let held = hold(2);
    let begun = begin(a, 2);
    write(2, "new");
    b.run(|| cache::clear("profile").unwrap());
    held.release();
    joined("the earlier call ends", begun).unwrap();
    assert_eq!((value(b, 2), value(a, 2)), ("new".into(), "new".into()));

    let held = hold(2);
    b.run(|| cache::invalidate("profile", &2).unwrap());
    let begun = begin(a, 2);
    write(2, "newer");
    b.run(|| premier::clear().unwrap());
    held.release();
    joined("the earlier call ends", begun).unwrap();
    assert_eq!(value(b, 2), "newer");
}

#[test]
fn a_later_value_of_another_process_is_not_written_over() {
    let [a, b] = [process(3), process(3)];
    write(3, "old");
    let held = hold(3);
    let begun = begin(a, 3);
    write(3, "new");
    b.run(|| cache::invalidate("profile", &3).unwrap());
    // The other one computes and saves while the first is not done.
    let later = begin(b, 3);
    {
        let mut ends = ENDS.lock().unwrap();
        let last = ends.get_mut(&3).unwrap().pop().unwrap();
        last.send(()).unwrap();
    }
    assert_eq!(joined("the later call ends", later).unwrap(), "new");
    held.release();
    joined("the earlier call ends", begun).unwrap();
    assert_eq!((value(a, 3), reads(3)), ("new".into(), 2));
}

/// The waiting caller came after the invalidation.
#[test]
fn callers_after_an_invalidation_of_another_process_get_no_value_computed_before_it() {
    let [a, b] = [process(4), process(4)];
    write(4, "old");
    let held = hold(4);
    let begun = begin(a, 4);
    write(4, "new");
    b.run(|| cache::invalidate("profile", &4).unwrap());
    let waits = spawn_waiting_callers(a, 4, 5);
    held.release();
    assert_eq!(joined("the earlier call ends", begun).unwrap(), "old");
    for waits in waits {
        assert_eq!(joined("a later call ends", waits).unwrap(), "new");
    }
    assert_eq!(reads(4), 2, "one of them has computed for all");
}

#[test]
fn waiting_callers_of_one_process_share_one_computation() {
    let a = process(5);
    write(5, "value");
    let held = hold(5);
    let begun = begin(a, 5);
    let waits = spawn_waiting_callers(a, 5, 20);
    held.release();
    for call in waits.into_iter().chain([begun]) {
        assert_eq!(joined("a call ends", call).unwrap(), "value");
    }
    assert_eq!((value(process(5), 5), reads(5)), ("value".into(), 1));
}

#[test]
fn waiting_callers_share_one_computation_also_while_redis_is_down() {
    let url = format!("redis://127.0.0.1:{}/", free_port());
    let redis = RedisHandler::builder(url)
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let a = Scope::new(Config::new(redis).keyspace("fleet-8"));
    write(8, "value");
    let held = hold(8);
    let begun = begin(a, 8);
    let waits = spawn_waiting_callers(a, 8, 20);
    held.release();
    for call in waits.into_iter().chain([begun]) {
        assert_eq!(joined("a call ends", call).unwrap(), "value");
    }
    assert_eq!(reads(8), 1);
}

#[test]
fn processes_that_compute_at_the_same_time_share_what_the_first_saves() {
    let [a, b] = [process(6), process(6)];
    write(6, "value");
    let held = hold(6);
    let begun = [begin(a, 6), begin(b, 6)];
    assert_eq!(keys(6).len(), 1, "one token for both");
    SERVER.assert_all_expire();
    held.release();
    for call in begun {
        joined("a call ends", call).unwrap();
    }
    eventually("the value is saved, and the token removed", || {
        keys(6) == ["fleet-6:cache:profile:6"]
    });
    assert_eq!(
        (value(a, 6), value(b, 6), reads(6)),
        ("value".into(), "value".into(), 2)
    );
}

static FAILURES: AtomicU32 = AtomicU32::new(0);

#[cache(name = "failing", ttl = "1h", key = id)]
fn fails(id: u32) -> Result<u32, String> {
    let _ = id;
    FAILURES.fetch_add(1, Ordering::SeqCst);
    Err("down".into())
}

#[test]
fn the_token_of_a_computation_that_has_failed_goes_soon() {
    assert!(process(7).run(|| fails(7)).is_err());
    let token = "fleet-7:cache:failing:{fleet-7:cache:failing:7}";
    eventually("its time is shortened", || {
        let left = SERVER.command(&["PTTL", token]);
        let left: i64 = left.trim_start_matches(':').trim().parse().unwrap();
        assert!(left > 0, "others may compute with it for a while");
        left <= 60_000
    });
}

/// The rules of a token, for each key of a store.
fn check_tokens(values: &dyn ValueStore, key: Key<'_>) {
    let (minute, bytes) = (Duration::from_secs(60), |text: &str| {
        text.as_bytes().to_vec()
    });
    let begin = |stale| values.load_or_begin(key, stale).unwrap();
    let loaded = |text: &str| {
        let found = values.load(key).unwrap().map(|(value, _)| value);
        found == Some(bytes(text))
    };
    let (none, first) = begin(Duration::ZERO);
    let (first, common) = (first.unwrap(), begin(Duration::ZERO).1.unwrap());
    assert!(none.is_none() && first == common && first != LoadToken::default());
    values.save_begun(key, bytes("one"), minute, first);
    eventually("the value is saved", || loaded("one"));
    assert!(
        begin(Duration::ZERO).1.is_none(),
        "nothing is to be computed"
    );
    // The first value has used the token up.
    values.save_begun(key, bytes("two"), minute, common);
    assert!(loaded("one"));

    let (found, renews) = begin(2 * minute);
    assert_eq!(found.unwrap().0, bytes("one"), "it is stale");
    values.forget(key).unwrap();
    values.save_begun(key, bytes("three"), minute, renews.unwrap());
    assert!(values.load(key).unwrap().is_none());

    let abandoned = begin(Duration::ZERO).1.unwrap();
    values.abandon(key, abandoned.clone());
    values.save_begun(key, bytes("four"), minute, abandoned);
    eventually("others go on with it for a while", || loaded("four"));
}

#[test]
fn values_and_their_tokens_are_in_one_slot_of_a_cluster() {
    let cluster = Cluster::start();
    let redis = cluster.handler();
    let values = redis.values().unwrap();
    for subject in 0..20 {
        let subject = format!("{{{subject}}}");
        check_tokens(values, Key::new("fleet:cache:tokens", Some(&subject)));
    }
    let key = Key::new("fleet:cache:cleared", Some("x"));
    let (_, token) = values.load_or_begin(key, Duration::ZERO).unwrap();
    redis.clear("fleet").unwrap();
    values.save_begun(
        key,
        b"old".to_vec(),
        Duration::from_secs(60),
        token.unwrap(),
    );
    assert!(values.load(key).unwrap().is_none());
    for node in &cluster.nodes {
        node.assert_all_expire();
    }
}

#[test]
fn a_token_is_used_once_and_goes_with_the_value() {
    let redis = SERVER.handler();
    let values = redis.values().unwrap();
    check_tokens(values, Key::new("tokens:cache:rules", Some("x")));
    check_tokens(values, Key::new("tokens:cache:rules", None));
}

#[test]
fn a_key_of_another_type_is_written_over() {
    let server = Server::start();
    let redis = server.handler();
    let values = redis.values().unwrap();
    server.command(&["RPUSH", "tokens:cache:typed:x", "1"]);
    let key = Key::new("tokens:cache:typed", Some("x"));
    let (none, token) = values.load_or_begin(key, Duration::ZERO).unwrap();
    assert!(none.is_none());
    values.save_begun(
        key,
        b"value".to_vec(),
        Duration::from_secs(60),
        token.unwrap(),
    );
    eventually("it is written over", || values.load(key).is_ok());
    server.assert_all_expire();
}
