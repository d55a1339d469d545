//! Hits are found without moka, which goes on deciding what is kept.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use premier::cache;

#[test]
fn what_was_invalidated_is_never_seen_again() {
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
                        // The one who raises the version has invalidated the one before.
                        assert!(version(key).1 >= least);
                    }
                }
            });
        }
        for _ in 0..3_000 {
            let raised = VERSION.fetch_add(1, Ordering::SeqCst) + 1;
            for key in 0..4_u64 {
                cache::invalidate("versions", &key).unwrap();
                assert_eq!(version(key), (key, raised));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn clearing_leaves_nothing_behind() {
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

#[derive(Debug)]
struct Counted;

static ALIVE: LazyLock<AtomicUsize> = LazyLock::new(AtomicUsize::default);

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn what_no_longer_fits_is_let_go() {
    #[cache(capacity = 100)]
    fn load(_key: u64) -> Arc<Counted> {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Counted)
    }

    for key in 0..100_000 {
        for _ in 0..3 {
            load(key);
        }
        // moka lets go some hundreds at a time, and so does the map in front of it.
        assert!(ALIVE.load(Ordering::Relaxed) < 2_000, "{ALIVE:?} at {key}");
    }
}

#[test]
fn keys_that_are_asked_for_again_outlive_those_that_are_not() {
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
    // 200,000 calls for the 500, among 400,000 for a key each that nobody asks for again.
    let loads = LOADS.load(Ordering::Relaxed);
    assert!(loads < 10_000, "{loads}");
}

#[test]
fn a_text_and_a_number_that_read_alike_are_one_key() {
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

/// A value whose copy asks the cache that it is from.
#[derive(Debug)]
struct Asking(u64);

impl Clone for Asking {
    fn clone(&self) -> Self {
        if self.0 > 0 {
            chain(self.0 - 1);
        }
        Self(self.0)
    }
}

#[cache]
fn chain(length: u64) -> Asking {
    Asking(length)
}

#[test]
fn a_copy_of_a_value_may_ask_the_same_cache() {
    for _ in 0..3 {
        assert_eq!(chain(5).0, 5);
    }
}
