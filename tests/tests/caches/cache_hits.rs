//! Hits of `#[cache]` never return an invalidated value, and the user's `Clone` and `Drop` may call
//! the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use premier::cache;
use premier_tests::waits::joined;

/// Ends the other threads of a test when the main thread leaves the scope, also by a panic.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_invalidated_value_is_never_returned_again() {
    static VERSION: AtomicU64 = AtomicU64::new(0);

    #[cache(name = "versions", ttl = "1h")]
    fn version(key: u64) -> (u64, u64) {
        (key, VERSION.load(Ordering::SeqCst))
    }

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for key in 0..4 {
                        let least = VERSION.load(Ordering::SeqCst).saturating_sub(1);
                        // The main thread has invalidated every version before the previous one.
                        assert!(version(key).1 >= least);
                    }
                }
            });
        }
        let _stop = SetWhenDropped(&done);
        for _ in 0..3_000 {
            let raised = VERSION.fetch_add(1, Ordering::SeqCst) + 1;
            for key in 0..4_u64 {
                cache::invalidate("versions", &key).unwrap();
                assert_eq!(version(key), (key, raised));
            }
        }
    });
}

#[test]
fn a_cleared_cache_returns_no_earlier_value() {
    static VERSION: AtomicU64 = AtomicU64::new(0);

    #[cache(name = "cleared")]
    fn version(_key: u64) -> u64 {
        VERSION.load(Ordering::SeqCst)
    }

    for raised in 1..100 {
        VERSION.store(raised, Ordering::SeqCst);
        cache::clear("cleared").unwrap();
        for _ in 0..3 {
            assert!((0..100).all(|key| version(key) == raised));
        }
    }
}

#[test]
fn keys_that_are_used_again_outlive_keys_that_are_used_once() {
    static LOADS: AtomicU64 = AtomicU64::new(0);

    #[cache(capacity = 1_000)]
    fn load(key: u64) -> u64 {
        if key < 500 {
            LOADS.fetch_add(1, Ordering::Relaxed);
        }
        key
    }

    let mut next = 1_000;
    for _ in 0..400 {
        for key in 0..500 {
            load(key);
        }
        for _ in 0..1_000 {
            load(next);
            next += 1;
        }
    }
    // 200,000 calls use 500 keys again and again, among 400,000 calls that each use a new key once.
    let loads = LOADS.load(Ordering::Relaxed);
    assert!(loads < 10_000, "{loads}");
}

#[test]
fn a_number_and_its_decimal_text_are_one_key() {
    static LOADS: AtomicU64 = AtomicU64::new(0);

    #[cache(name = "alike", key = key)]
    fn load(key: u64) -> u64 {
        LOADS.fetch_add(1, Ordering::Relaxed);
        key
    }

    for _ in 0..3 {
        load(42);
    }
    assert_eq!(LOADS.load(Ordering::Relaxed), 1);
    cache::invalidate("alike", "42").unwrap();
    load(42);
    assert_eq!(LOADS.load(Ordering::Relaxed), 2);
}

/// A value whose `clone` calls the cache that holds it.
#[derive(Debug)]
struct ClonesRecursively(u64);

impl Clone for ClonesRecursively {
    fn clone(&self) -> Self {
        if self.0 > 0 {
            chain(self.0 - 1);
        }
        Self(self.0)
    }
}

#[cache]
fn chain(length: u64) -> ClonesRecursively {
    ClonesRecursively(length)
}

#[test]
fn cloning_a_value_may_call_the_same_cache() {
    for _ in 0..3 {
        assert_eq!(chain(5).0, 5);
    }
}

/// A small value that is slow to clone, so that races between the lookup and the clone are
/// frequent.
#[derive(Debug)]
struct Version(u64);

impl Clone for Version {
    fn clone(&self) -> Self {
        (0..3).for_each(|_| thread::yield_now());
        Self(self.0)
    }
}

trait Make: 'static {
    type Value: Clone + Send + Sync + 'static;
    fn make() -> Self::Value;
}

struct Newest;
struct Other<const SIZE: usize>;
static NEWEST: AtomicU64 = AtomicU64::new(0);

impl Make for Newest {
    type Value = Version;
    fn make() -> Version {
        Version(NEWEST.load(Ordering::SeqCst))
    }
}

impl<const SIZE: usize> Make for Other<SIZE> {
    type Value = [u8; SIZE];
    fn make() -> [u8; SIZE] {
        [0; SIZE]
    }
}

#[cache(name = "made", key = id)]
fn made<M: Make>(id: u64) -> M::Value {
    let _ = id;
    M::make()
}

/// An invalidation removes the values of a key one type after another. Meanwhile other threads have
/// time to insert one.
#[test]
fn an_old_value_is_never_promoted_over_a_newer_one() {
    macro_rules! sizes {
        ($($size:literal)*) => {$( made::<Other<$size>>(1); )*};
    }
    sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    made::<Newest>(1);
                }
            });
        }
        let _stop = SetWhenDropped(&done);
        let began = Instant::now();
        for _ in 0..1_500 {
            // Where other programs are busy, each yield of a clone takes long.
            if began.elapsed() > Duration::from_secs(20) {
                break;
            }
            let raised = NEWEST.fetch_add(1, Ordering::SeqCst) + 1;
            cache::invalidate("made", &1_u64).unwrap();
            for _ in 0..20 {
                assert_eq!(made::<Newest>(1).0, raised);
            }
        }
    });
}

#[derive(Debug)]
struct Parent(u64);

impl Drop for Parent {
    fn drop(&mut self) {
        cache::invalidate("children", &self.0).unwrap();
        child_of(self.0);
    }
}

#[cache(name = "children")]
fn child_of(id: u64) -> u64 {
    id
}

#[cache(name = "parents")]
fn parent(id: u64) -> Arc<Parent> {
    Arc::new(Parent(id))
}

#[test]
fn dropping_a_value_may_call_another_cache() {
    let (done, ended) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || {
        for id in 0..500 {
            (0..3).for_each(|_| drop(parent(id)));
            cache::invalidate("parents", &id).unwrap();
        }
        for round in 0..20 {
            for id in 0..50 {
                (0..3).for_each(|_| drop(parent(1_000 * round + id)));
            }
            cache::clear("parents").unwrap();
        }
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(60));
    assert!(
        ended.is_ok(),
        "waited in vain for the destructors: a deadlock"
    );
    joined("the worker ends", worker).unwrap();
}
