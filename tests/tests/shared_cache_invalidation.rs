//! Values that are shared through a store, invalidated while somebody has one in its hands. The store is
//! one of the test's own, whose answers can be held back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use premier::cache;
use premier::cache::{Loaded, ValueStore};
use premier::{BoxFuture, Config, Decision, Error, Handler, Key, MemoryHandler, Request};
use premier_tests::waits::joined;

/// Where whoever comes waits while it is shut.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_shut: bool,
    is_anybody_there: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) {
        *self.state() = GateState {
            is_shut: true,
            is_anybody_there: false,
        };
    }

    fn open(&self) {
        self.state().is_shut = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state();
        state.is_anybody_there = true;
        self.changed.notify_all();
        drop(
            self.changed
                .wait_while(state, |state| state.is_shut)
                .unwrap(),
        );
    }

    fn await_somebody(&self) {
        let state = self.state();
        drop(
            (self.changed)
                .wait_while(state, |state| !state.is_anybody_there)
                .unwrap(),
        );
    }
}

#[derive(Debug, Default)]
struct Store {
    values: Mutex<HashMap<String, (Vec<u8>, Duration)>>,
    /// With the answer in one's hands.
    loaded: Gate,
    /// Before it is forgotten.
    forgets: Gate,
    limits: MemoryHandler,
}

static STORE: LazyLock<Store> = LazyLock::new(Store::default);

fn text(key: Key<'_>) -> String {
    format!("{}:{}", key.prefix(), key.user().unwrap())
}

impl Store {
    fn values(&self) -> MutexGuard<'_, HashMap<String, (Vec<u8>, Duration)>> {
        self.values.lock().unwrap()
    }

    /// As another process does.
    fn put(&self, key: &str, of: &str, json: &str, seconds: u64) {
        let value = format!("{of}\n{json}").into_bytes();
        self.values()
            .insert(key.into(), (value, Duration::from_secs(seconds)));
    }
}

impl ValueStore for Store {
    fn load(&self, key: Key<'_>) -> Result<Loaded, Error> {
        let found = self.values().get(&text(key)).cloned();
        self.loaded.pass();
        Ok(found)
    }

    fn load_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<Loaded, Error>> {
        Box::pin(async move { self.load(key) })
    }

    fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration) {
        self.values().insert(text(key), (value, ttl));
    }

    fn forget(&self, key: Key<'_>) -> Result<(), Error> {
        self.forgets.pass();
        self.values().remove(&text(key));
        Ok(())
    }

    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.forget(key) })
    }
}

#[derive(Debug)]
struct Shared;

impl Handler for Shared {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        STORE.limits.handle(request)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        STORE.limits.clear(keyspace)
    }

    fn values(&self) -> Option<&dyn ValueStore> {
        Some(&*STORE)
    }
}

/// One test at a time: they share the gates.
fn begin() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = premier::config(Config::new(Shared).keyspace("ks"));
    one
}

#[test]
fn what_was_loaded_before_is_not_for_those_who_come_after() {
    #[cache(name = "loads", ttl = "60s", key = id)]
    fn load(id: u64) -> u32 {
        static CALLS: AtomicU32 = AtomicU32::new(100);
        let _ = id;
        CALLS.fetch_add(1, Ordering::SeqCst)
    }

    let _one = begin();
    STORE.put("ks:cache:loads:1", "u32", "7", 60);
    load(2);
    STORE.forgets.shut();
    STORE.loaded.shut();
    let invalidates = thread::spawn(|| cache::invalidate("loads", &1).unwrap());
    // Forgotten here, and not there yet.
    STORE.forgets.await_somebody();
    let before = thread::spawn(|| load(1));
    STORE.loaded.await_somebody();
    STORE.forgets.open();
    joined("the invalidates ends", invalidates).unwrap();
    let after = thread::spawn(|| load(1));
    thread::sleep(Duration::from_millis(100));
    STORE.loaded.open();
    joined("the before ends", before).unwrap();
    assert_ne!(joined("the after ends", after).unwrap(), 7);
}

#[test]
fn what_is_read_while_another_renews_it_is_not_kept_over_an_invalidation() {
    static FAILS: LazyLock<Gate> = LazyLock::new(Gate::default);
    static CALLS: AtomicU32 = AtomicU32::new(100);

    #[cache(name = "renewed", ttl = "60s", stale = "10s", key = id)]
    fn load(id: u64) -> Result<u32, String> {
        let call = CALLS.fetch_add(1, Ordering::SeqCst);
        if id == 1 && call == 101 {
            FAILS.pass();
            return Err("it fails".into());
        }
        Ok(call)
    }

    let _one = begin();
    load(2).unwrap();
    // It is stale, and one renews it.
    STORE.put("ks:cache:renewed:1", "u32", "6", 5);
    FAILS.shut();
    let renews = thread::spawn(|| load(1));
    FAILS.await_somebody();
    // Another process has renewed it meanwhile.
    STORE.put("ks:cache:renewed:1", "u32", "7", 60);
    STORE.loaded.shut();
    let before = thread::spawn(|| load(1));
    STORE.loaded.await_somebody();
    cache::invalidate("renewed", &1).unwrap();
    let after = thread::spawn(|| load(1));
    thread::sleep(Duration::from_millis(100));
    STORE.loaded.open();
    let _ = joined("the before ends", before).unwrap();
    thread::sleep(Duration::from_millis(100));
    FAILS.open();
    let _ = joined("the renews ends", renews).unwrap();
    assert_ne!(joined("the after ends", after).unwrap(), Ok(7));
}

#[test]
fn what_was_invalidated_stays_so_when_sharing_ends() {
    #[cache(name = "ended", ttl = "60s", key = id)]
    fn load(id: u64) -> f64 {
        // Which JSON cannot give back, and ends it.
        if id == 2 { f64::NAN } else { 9.0 }
    }

    let _one = begin();
    STORE.put("ks:cache:ended:1", "f64", "7.5", 60);
    assert_eq!(load(1), 7.5);
    cache::invalidate("ended", &1).unwrap();
    assert!(load(2).is_nan());
    assert_eq!(load(1), 9.0);
}

#[test]
fn what_others_invalidated_stays_so_when_sharing_ends() {
    #[cache(name = "ended by others", ttl = "60s", key = id)]
    fn load(id: u64) -> f64 {
        if id == 2 { f64::NAN } else { 9.0 }
    }

    let _one = begin();
    STORE.put("ks:cache:ended by others:1", "f64", "7.5", 60);
    assert_eq!(load(1), 7.5);
    STORE.values().remove("ks:cache:ended by others:1");
    assert!(load(2).is_nan());
    assert_eq!(load(1), 9.0);
}
