//! What a cache no longer keeps is freed. By itself: what moka has let go of is freed when no thread of
//! the process reads, whatever it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use premier::cache;

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
fn values_that_no_longer_fit_are_freed() {
    for key in 0..100_000 {
        (0..3).for_each(|_| drop(load(key)));
        // moka lets go some hundreds at a time.
        let alive = ALIVE.load(Ordering::Relaxed);
        assert!(alive < 2_000, "{alive} at {key}");
    }
}
