//! Invalidated values are computed again.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::cache;
use premier_tests::waits::{done, within};
use tokio::sync::Notify;
use tokio::task;

use super::{CLOCK, next, settle};

#[tokio::test]
async fn what_is_invalidated_is_computed_anew() {
    counter!(CALLS);
    static GATE: Notify = Notify::const_new();
    #[cache(name = "invalidated")]
    async fn load(id: u32) -> u32 {
        let call = next(&CALLS);
        if id == 9 {
            GATE.notified().await;
        }
        call
    }
    LazyLock::force(&CLOCK);
    assert_eq!((load(1).await, load(2).await), (1, 2));
    cache::invalidate("invalidated", &1).unwrap();
    assert_eq!((load(1).await, load(2).await), (3, 2));
    cache::invalidate_async("invalidated", &2).await.unwrap();
    assert_eq!((load(1).await, load(2).await), (3, 4));
    cache::clear("invalidated").unwrap();
    assert_eq!((load(1).await, load(2).await), (5, 6));
    cache::invalidate("unknown", &1).unwrap();

    // What began before is given to its caller and not kept.
    let begun = task::spawn(load(9));
    settle().await;
    cache::invalidate("invalidated", &9).unwrap();
    GATE.notify_one();
    assert_eq!(done("the begun ends", begun).await, 7);
    let again = task::spawn(load(9));
    settle().await;
    GATE.notify_one();
    assert_eq!(done("the again ends", again).await, 8);
}

/// Invalidating a key says nothing of the others, whose values are being computed.
#[tokio::test]
async fn an_invalidation_leaves_the_flights_of_other_keys_alone() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static GATE: Notify = Notify::const_new();
    #[cache(name = "flights", key = id)]
    async fn load(id: u32) -> u32 {
        next(&CALLS);
        GATE.notified().await;
        id
    }
    LazyLock::force(&CLOCK);
    let calls: Vec<_> = (0..20).map(|_| task::spawn(load(8))).collect();
    settle().await;
    // So many that some share a group with it; one after the other, so that each could be seen.
    for other in 100..103 {
        cache::invalidate("flights", &other).unwrap();
    }
    let computed = CALLS.load(Ordering::SeqCst);
    assert_eq!(computed, 1);
    for _ in 0..20 {
        GATE.notify_one();
        settle().await;
    }
    for call in calls {
        assert_eq!(done("the call ends", call).await, 8);
    }
    // Each of the three is in the group of this key with a probability of 1/32, and its value then
    // is computed once more.
    assert!(CALLS.load(Ordering::SeqCst) <= 2);

    // Waiters behind a flight whose own key was invalidated compute it once more, not each.
    let again = CALLS.load(Ordering::SeqCst);
    // The last one that nobody was there to take.
    GATE.notified().await;
    cache::invalidate("flights", &9).unwrap();
    let calls: Vec<_> = (0..20).map(|_| task::spawn(load(9))).collect();
    settle().await;
    cache::invalidate("flights", &9).unwrap();
    for _ in 0..20 {
        GATE.notify_one();
        settle().await;
    }
    for call in calls {
        done("the call ends", call).await;
    }
    assert_eq!(CALLS.load(Ordering::SeqCst) - again, 2);
}
