//! Which values a full cache evicts, and how much memory it uses.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use premier::cache;

#[test]
fn frequently_used_keys_survive_a_scan() {
    static LOADS: AtomicU64 = AtomicU64::new(0);

    #[cache(capacity = 1_000, key = key)]
    fn load(key: &str) -> String {
        if key.starts_with("hot") {
            LOADS.fetch_add(1, Ordering::Relaxed);
        }
        key.to_uppercase()
    }

    let hot: Vec<_> = (0..100).map(|number| format!("hot{number}")).collect();
    for number in 0..100_000 {
        load(&hot[number % 100]);
        load(&number.to_string());
    }
    // If hits did not count, each of the hot keys would be evicted every 1,000 calls.
    let loads = LOADS.load(Ordering::Relaxed);
    assert!(loads < 300, "{loads}");
}

#[test]
fn a_cache_holds_as_many_values_as_its_capacity() {
    static LOADS: AtomicU64 = AtomicU64::new(0);

    #[cache(capacity = 500)]
    fn load(key: u64) -> u64 {
        LOADS.fetch_add(1, Ordering::Relaxed);
        key
    }

    for _ in 0..10 {
        for key in 0..500 {
            load(key);
        }
    }
    assert_eq!(LOADS.load(Ordering::Relaxed), 500);
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Counted([u8; 100]);

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_million_values_use_no_more_memory_than_the_capacity_needs() {
    #[cache(capacity = 1_000)]
    fn load(key: u64) -> Arc<Counted> {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Counted([key as u8; 100]))
    }

    #[cache(capacity = 1_000, key = "key {key}")]
    fn by_text(key: u64) -> u64 {
        key
    }

    let measured = allocation_counter::measure(|| {
        for key in 0..1_000_000 {
            assert_eq!(load(key).0[0], key as u8);
            if key % 10 == 0 {
                assert_eq!(by_text(key), key);
            }
            let alive = ALIVE.load(Ordering::Relaxed);
            assert!(alive <= 1_001, "{alive} at {key}");
        }
    });
    // Two caches of 1,000 values each, at about 500 bytes for a value, its key and its entry.
    let bytes = measured.bytes_current;
    assert!(bytes < 1_000_000, "{bytes}");
}
