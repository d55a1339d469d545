//! A cache drops the values that it no longer holds, and holds no lock while it drops them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use premier::cache;
use premier_tests::waits::{eventually, joined};

static ALIVE: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Arc<Self> {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cache(capacity = 100)]
fn load(_key: u64) -> Arc<Counted> {
    Counted::new()
}

#[test]
fn evicted_values_are_dropped() {
    for key in 0..100_000 {
        (0..3).for_each(|_| drop(load(key)));
        let alive = ALIVE.load(Ordering::Relaxed);
        assert!(alive < 2_000, "{alive} at {key}");
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `work` on another thread and panics if it has not ended within the deadline.
#[track_caller]
fn ends(name: &str, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    let outcome = ended.recv_timeout(DEADLINE);
    assert_ne!(
        outcome,
        Err(mpsc::RecvTimeoutError::Timeout),
        "{name} hangs"
    );
    worker.join().unwrap();
}

/// A value whose destructor calls the function that cached it.
#[derive(Debug)]
struct Reentrant(u64);

const OTHERS: u64 = 1_000_000;
static REENTERED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Reentrant {
    fn drop(&mut self) {
        if self.0 < OTHERS {
            REENTERED.fetch_add(1, Ordering::Relaxed);
            reentrant(self.0 + OTHERS);
            cache::invalidate("reentrant", &(self.0 + OTHERS + 1)).unwrap();
        }
    }
}

#[cache(name = "reentrant", capacity = 20)]
fn reentrant(key: u64) -> Arc<Reentrant> {
    Arc::new(Reentrant(key))
}

#[test]
fn a_dropped_value_may_use_its_own_cache() {
    ends("an eviction", || {
        (0..1_000).for_each(|key| drop(reentrant(key)));
    });
    let evicted = REENTERED.load(Ordering::Relaxed);
    assert!(evicted > 900, "{evicted}");
    ends("an invalidation", || {
        for key in 0..1_000 {
            reentrant(key);
            cache::invalidate("reentrant", &key).unwrap();
        }
    });
    ends("a clear", || {
        for round in 0..50 {
            (0..20).for_each(|key| drop(reentrant(20 * round + key)));
            cache::clear("reentrant").unwrap();
        }
    });
}

/// The destructor of the first value to be dropped blocks until `IS_OPEN`.
#[derive(Debug)]
struct Slow;

static FIRST: AtomicBool = AtomicBool::new(true);
static IS_OPEN: Mutex<bool> = Mutex::new(false);
static OPENED: Condvar = Condvar::new();
static IS_WAITING: AtomicBool = AtomicBool::new(false);

impl Drop for Slow {
    fn drop(&mut self) {
        if FIRST.swap(false, Ordering::SeqCst) {
            IS_WAITING.store(true, Ordering::SeqCst);
            let is_open = IS_OPEN.lock().unwrap();
            let closed = |is_open: &mut bool| !*is_open;
            drop(OPENED.wait_timeout_while(is_open, DEADLINE, closed));
        }
    }
}

#[cache(name = "slow", capacity = 20)]
fn slow(_key: u64) -> Arc<Slow> {
    Arc::new(Slow)
}

#[test]
fn a_cache_works_while_an_evicted_value_is_being_dropped() {
    let evicting = thread::spawn(|| (0..1_000).for_each(|key| drop(slow(key))));
    eventually("an evicted value is being dropped", || {
        assert!(!evicting.is_finished(), "nothing was evicted");
        IS_WAITING.load(Ordering::SeqCst)
    });
    ends("the cache", || {
        for key in 0..1_000 {
            slow(key);
            cache::invalidate("slow", &key).unwrap();
        }
        cache::clear("slow").unwrap();
    });
    assert!(!evicting.is_finished());
    *IS_OPEN.lock().unwrap() = true;
    OPENED.notify_all();
    joined("the evicting thread ends", evicting).unwrap();
}
