//! `premier::clear` removes every limit and cached value of a keyspace, so its test has a process
//! of its own.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::cache;

#[tokio::test]
async fn clearing_a_keyspace_clears_its_caches() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[cache]
    async fn load() -> u32 {
        CALLS.fetch_add(1, Ordering::SeqCst)
    }
    #[cache(keyspace = "elsewhere")]
    async fn other() -> Arc<u32> {
        Arc::new(CALLS.fetch_add(1, Ordering::SeqCst))
    }
    let (one, two) = (load().await, other().await);
    premier::clear_async().await.unwrap();
    assert_ne!(load().await, one);
    assert_eq!(other().await, two);
}
