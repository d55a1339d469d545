//! Values shared through a store, invalidated while another call is between reading and returning
//! one. The store belongs to the test, which can delay its answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use premier::cache;
use premier::cache::{Loaded, ValueStore};
use premier::{BoxFuture, Config, Decision, Error, Handler, Key, MemoryHandler, Request};
use premier_tests::waits::{LONGEST, joined};

/// Blocks the threads that pass while it is closed.
#[derive(Debug, Default)]
struct Barrier {
    state: Mutex<BarrierState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BarrierState {
    is_closed: bool,
    is_reached: bool,
}

impl Barrier {
    fn state(&self) -> MutexGuard<'_, BarrierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        *self.state() = BarrierState {
            is_closed: true,
            is_reached: false,
        };
    }

    fn open(&self) {
        self.state().is_closed = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state();
        state.is_reached = true;
        self.changed.notify_all();
        let closed = |state: &mut BarrierState| state.is_closed;
        let (_state, wait) = (self.changed)
            .wait_timeout_while(state, LONGEST, closed)
            .unwrap();
        assert!(!wait.timed_out(), "waited in vain for an open barrier");
    }

    fn wait_until_reached(&self) {
        let state = self.state();
        let missing = |state: &mut BarrierState| !state.is_reached;
        let (_state, wait) = (self.changed)
            .wait_timeout_while(state, LONGEST, missing)
            .unwrap();
        assert!(
            !wait.timed_out(),
            "waited in vain for a thread at the barrier"
        );
    }
}

#[derive(Debug, Default)]
struct Store {
    values: Mutex<HashMap<String, (Vec<u8>, Duration)>>,
    /// Passed after a value was read, before it is returned.
    loaded: Barrier,
    /// Passed before a value is removed.
    forgets: Barrier,
    limits: MemoryHandler,
}

static STORE: LazyLock<Store> = LazyLock::new(Store::default);

fn text(key: Key<'_>) -> String {
    format!("{}:{}", key.prefix(), key.subject().unwrap())
}

impl Store {
    fn values(&self) -> MutexGuard<'_, HashMap<String, (Vec<u8>, Duration)>> {
        self.values.lock().unwrap()
    }

    /// Stores a value as another process would.
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

/// The tests share the barriers, so they run one at a time.
fn begin() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = premier::config(Config::new(Shared).keyspace("ks"));
    one
}

#[test]
fn a_value_read_before_an_invalidation_is_not_returned_to_later_callers() {
    #[cache(name = "loads", ttl = "60s", key = id)]
    fn load(id: u64) -> u32 {
        static CALLS: AtomicU32 = AtomicU32::new(100);
        let _ = id;
        CALLS.fetch_add(1, Ordering::SeqCst)
    }

    let _one = begin();
    STORE.put("ks:cache:loads:1", "u32", "7", 60);
    load(2);
    STORE.forgets.close();
    STORE.loaded.close();
    let invalidates = thread::spawn(|| cache::invalidate("loads", &1).unwrap());
    // The value is invalidated in this process, but not yet in the store.
    STORE.forgets.wait_until_reached();
    let before = thread::spawn(|| load(1));
    STORE.loaded.wait_until_reached();
    STORE.forgets.open();
    joined("the invalidation ends", invalidates).unwrap();
    let after = thread::spawn(|| load(1));
    thread::sleep(Duration::from_millis(100));
    STORE.loaded.open();
    joined("the earlier call ends", before).unwrap();
    assert_ne!(joined("the later call ends", after).unwrap(), 7);
}

#[test]
fn a_value_read_during_a_renewal_is_not_kept_after_an_invalidation() {
    static FAILS: LazyLock<Barrier> = LazyLock::new(Barrier::default);
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
    // The value is stale, and one caller renews it.
    STORE.put("ks:cache:renewed:1", "u32", "6", 5);
    FAILS.close();
    let renews = thread::spawn(|| load(1));
    FAILS.wait_until_reached();
    // Meanwhile another process has renewed the value.
    STORE.put("ks:cache:renewed:1", "u32", "7", 60);
    STORE.loaded.close();
    let before = thread::spawn(|| load(1));
    STORE.loaded.wait_until_reached();
    cache::invalidate("renewed", &1).unwrap();
    let after = thread::spawn(|| load(1));
    thread::sleep(Duration::from_millis(100));
    STORE.loaded.open();
    let _ = joined("the earlier call ends", before).unwrap();
    thread::sleep(Duration::from_millis(100));
    FAILS.open();
    let _ = joined("the renewing call ends", renews).unwrap();
    assert_ne!(joined("the later call ends", after).unwrap(), Ok(7));
}

#[test]
fn an_invalidated_value_does_not_return_when_sharing_ends() {
    #[cache(name = "ended", ttl = "60s", key = id)]
    fn load(id: u64) -> f64 {
        // JSON cannot represent NaN, which ends the sharing of this function.
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
fn a_value_invalidated_by_another_process_does_not_return_when_sharing_ends() {
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
