//! Invalidated values are computed again.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::cache;
use premier_tests::waits::{done, within};
use tokio::sync::Notify;
use tokio::task;

use super::{CLOCK, next, settle};

#[tokio::test]
async fn an_invalidated_value_is_computed_again() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache(name = "invalidated")]
    async fn load(id: u32) -> u32 {
        let call = next(&CALLS);
        if id == 9 {
            RELEASE.notified().await;
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

    // A computation that began before the invalidation returns to its caller, but is not kept.
    let begun = task::spawn(load(9));
    settle().await;
    cache::invalidate("invalidated", &9).unwrap();
    RELEASE.notify_one();
    assert_eq!(done("the earlier computation ends", begun).await, 7);
    let again = task::spawn(load(9));
    settle().await;
    RELEASE.notify_one();
    assert_eq!(done("the later computation ends", again).await, 8);
}

/// Invalidating one key must not affect computations of other keys.
#[tokio::test]
async fn an_invalidation_does_not_repeat_the_computations_of_other_keys() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static RELEASE: Notify = Notify::const_new();
    #[cache(name = "flights", key = id)]
    async fn load(id: u32) -> u32 {
        next(&CALLS);
        RELEASE.notified().await;
        id
    }
    LazyLock::force(&CLOCK);
    let calls: Vec<_> = (0..20).map(|_| task::spawn(load(8))).collect();
    settle().await;
    // Invalidation epochs are shared by groups of keys, and one of these keys may share that of key
    // 8.
    for other in 100..103 {
        cache::invalidate("flights", &other).unwrap();
    }
    let computed = CALLS.load(Ordering::SeqCst);
    assert_eq!(computed, 1);
    for _ in 0..20 {
        RELEASE.notify_one();
        settle().await;
    }
    for call in calls {
        assert_eq!(done("the call ends", call).await, 8);
    }
    // Each of the three keys shares the group of key 8 with a probability of 1/32, and the value is
    // then computed once more.
    assert!(CALLS.load(Ordering::SeqCst) <= 2);

    // When a key is invalidated during its computation, one of the waiters computes it again for
    // all.
    let again = CALLS.load(Ordering::SeqCst);
    // Consumes the permit that no call above has used.
    within("the unused permit", RELEASE.notified()).await;
    cache::invalidate("flights", &9).unwrap();
    let calls: Vec<_> = (0..20).map(|_| task::spawn(load(9))).collect();
    settle().await;
    cache::invalidate("flights", &9).unwrap();
    for _ in 0..20 {
        RELEASE.notify_one();
        settle().await;
    }
    for call in calls {
        done("the call ends", call).await;
    }
    assert_eq!(CALLS.load(Ordering::SeqCst) - again, 2);
}

#[tokio::test]
async fn new_callers_do_not_wait_for_a_computation_that_began_before_an_invalidation() {
    counter!(CALLS);
    static RELEASE: Notify = Notify::const_new();
    #[cache(name = "invalidated meanwhile")]
    async fn load(id: u32) -> u32 {
        let call = next(&CALLS);
        if call == 1 {
            RELEASE.notified().await;
        }
        id + call
    }
    LazyLock::force(&CLOCK);
    let begun = task::spawn(load(10));
    let waited = task::spawn(load(10));
    settle().await;
    cache::invalidate("invalidated meanwhile", &10).unwrap();
    assert_eq!(within("a new caller", load(10)).await, 12);
    // The caller that waited already takes that value, too.
    assert_eq!(done("it waits no longer", waited).await, 12);
    RELEASE.notify_one();
    assert_eq!(done("the earlier computation ends", begun).await, 11);
    assert_eq!(load(10).await, 12, "the earlier value is not kept");
}

#[tokio::test]
async fn new_callers_do_not_wait_for_a_computation_that_began_before_everything_was_cleared() {
    counter!(CALLS);
    #[cache(name = "cleared meanwhile")]
    async fn load() -> u32 {
        let call = next(&CALLS);
        if call == 1 {
            std::future::pending::<()>().await;
        }
        call
    }
    LazyLock::force(&CLOCK);
    let begun = task::spawn(load());
    settle().await;
    cache::clear_async("cleared meanwhile").await.unwrap();
    assert_eq!(within("a new caller", load()).await, 2);
    begun.abort();
}
