//! `#[cache]` in memory: what is kept, for how long, and who computes it. Time is virtual.
#![forbid(unsafe_code)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{MemoryHandler, cache, timeout};
use premier_tests::waits::{done, joined, within};
use tokio::sync::Notify;
use tokio::task;

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build()).unwrap();
    clock
});

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
struct Failure(u32);

async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

macro_rules! counter {
    ($name:ident) => {
        static $name: AtomicU32 = AtomicU32::new(0);
    };
}

fn next(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

#[test]
fn values_live_as_long_as_they_may_and_errors_not_at_all() {
    counter!(CALLS);
    #[cache(ttl = 1_000_000)]
    fn odd(key: u32) -> Result<u32, Failure> {
        let call = next(&CALLS);
        if call.is_multiple_of(2) {
            Err(Failure(key))
        } else {
            Ok(call)
        }
    }
    LazyLock::force(&CLOCK);
    assert_eq!(odd(1), Ok(1));
    assert_eq!(odd(1), Ok(1));
    assert_eq!(odd(2), Err(Failure(2)));
    assert_eq!(odd(2), Ok(3));
    assert_eq!(odd(1), Ok(1));
    CLOCK.advance(1_000_000 * SECOND);
    assert_eq!(odd(1), Err(Failure(1)));
    assert_eq!(odd(1), Ok(5));
}

#[test]
fn keys_in_every_notation() {
    counter!(CALLS);
    #[cache(key = user.len())]
    fn by_expression(user: &str) -> u32 {
        let _ = user;
        next(&CALLS)
    }
    #[cache(key = "{user}-{page}")]
    fn by_format(user: &str, page: u32) -> u32 {
        let _ = (user, page);
        next(&CALLS)
    }
    #[cache(keymaker = |user, _| &user[..1])]
    fn by_keymaker(user: String, page: u32) -> u32 {
        let _ = (user, page);
        next(&CALLS)
    }
    #[cache]
    fn by_all(left: &str, right: &str) -> u32 {
        let _ = (left, right);
        next(&CALLS)
    }
    #[cache]
    fn without_arguments() -> u32 {
        next(&CALLS)
    }
    LazyLock::force(&CLOCK);
    assert_eq!(by_expression("ab"), by_expression("cd"));
    assert_ne!(by_expression("ab"), by_expression("abc"));
    assert_eq!(by_format("a", 1), by_format("a", 1));
    assert_ne!(by_format("a", 1), by_format("a", 2));
    assert_eq!(
        by_keymaker("alice".into(), 1),
        by_keymaker("anna".into(), 2)
    );
    assert_ne!(by_keymaker("alice".into(), 1), by_keymaker("bob".into(), 1));
    assert_eq!(by_all("a", "b"), by_all("a", "b"));
    assert_ne!(by_all("a:b", "c"), by_all("a", "b:c"));
    assert_eq!(without_arguments(), without_arguments());
}

/// Instances of one generic function share the key, and no value of another type.
#[test]
fn instances_of_generic_functions_never_mix_types() {
    #[cache(key = "k")]
    fn made<T: From<u8> + Clone + Send + Sync + 'static>(value: u8) -> T {
        T::from(value)
    }
    LazyLock::force(&CLOCK);
    assert_eq!(made::<u32>(1), 1);
    assert_eq!(made::<u64>(2), 2);
    assert_eq!(made::<u32>(3), 1);
}

#[test]
fn only_some_is_kept_where_that_is_said() {
    counter!(CALLS);
    #[cache(only_some)]
    fn find(id: u32) -> Result<Option<u32>, Failure> {
        let call = next(&CALLS);
        Ok((call > 1).then_some(call + id))
    }
    LazyLock::force(&CLOCK);
    assert_eq!(find(0), Ok(None));
    assert_eq!(find(0), Ok(Some(2)));
    assert_eq!(find(0), Ok(Some(2)));
}

#[test]
fn capacity_bounds_what_is_kept() {
    counter!(CALLS);
    #[cache(capacity = 10)]
    fn load(id: u32) -> u32 {
        next(&CALLS);
        id
    }
    LazyLock::force(&CLOCK);
    for _ in 0..3 {
        for id in 0..1_000 {
            assert_eq!(load(id), id);
        }
    }
    assert!(CALLS.load(Ordering::SeqCst) > 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_share_one_computation() {
    counter!(CALLS);
    static GATE: Notify = Notify::const_new();
    #[cache]
    async fn slow(id: u32) -> Result<u32, Failure> {
        GATE.notified().await;
        Ok(id + next(&CALLS))
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..1_000).map(|_| task::spawn(slow(10))).collect();
    thread::sleep(Duration::from_millis(50));
    GATE.notify_one();
    for task in tasks {
        assert_eq!(done("the task ends", task).await, Ok(11));
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

#[test]
fn a_thousand_threads_share_one_computation() {
    counter!(CALLS);
    #[cache]
    fn slow(id: u32) -> u32 {
        thread::sleep(Duration::from_millis(100));
        id + next(&CALLS)
    }
    LazyLock::force(&CLOCK);
    let threads: Vec<_> = (0..1_000).map(|_| thread::spawn(|| slow(10))).collect();
    for thread in threads {
        assert_eq!(joined("the thread ends", thread).unwrap(), 11);
    }
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_not_kept_and_the_next_caller_tries() {
    counter!(CALLS);
    static GATE: Notify = Notify::const_new();
    #[cache]
    async fn flaky() -> Result<u32, Failure> {
        GATE.notified().await;
        match next(&CALLS) {
            1 => Err(Failure(1)),
            call => Ok(call),
        }
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..10).map(|_| task::spawn(flaky())).collect();
    settle().await;
    GATE.notify_one();
    settle().await;
    assert!(tasks[0].is_finished() && tasks[1..].iter().all(|task| !task.is_finished()));
    GATE.notify_one();
    let mut results = Vec::new();
    for task in tasks {
        results.push(done("the task ends", task).await);
    }
    assert_eq!(results[0], Err(Failure(1)));
    assert!(results[1..].iter().all(|result| *result == Ok(2)));
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_who_is_cancelled_or_panics_strands_nobody() {
    counter!(CALLS);
    static GATE: Notify = Notify::const_new();
    #[cache]
    async fn slow() -> u32 {
        let call = next(&CALLS);
        assert!(call != 2, "the second one panics");
        GATE.notified().await;
        call
    }
    LazyLock::force(&CLOCK);
    let tasks: Vec<_> = (0..5).map(|_| task::spawn(slow())).collect();
    settle().await;
    tasks[0].abort();
    // One that only waits leaves as well.
    tasks[3].abort();
    settle().await;
    assert!(tasks[1].is_finished());
    assert_eq!(CALLS.load(Ordering::SeqCst), 3);
    GATE.notify_one();
    for (nth, task) in tasks.into_iter().enumerate() {
        match nth {
            0 | 3 => assert!(
                within("the task ends", task)
                    .await
                    .unwrap_err()
                    .is_cancelled()
            ),
            1 => assert!(within("the task ends", task).await.unwrap_err().is_panic()),
            _ => assert_eq!(done("the task ends", task).await, 3),
        }
    }
}

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

/// On a clock of its own: the others move it on.
#[tokio::test]
async fn while_one_renews_a_stale_value_all_others_have_it() {
    counter!(CALLS);
    static GATE: Notify = Notify::const_new();
    static FAILS: AtomicBool = AtomicBool::new(false);
    #[cache(ttl = 1_000_000_000, stale = 30_000_000)]
    async fn load() -> Result<u32, Failure> {
        let call = next(&CALLS);
        GATE.notified().await;
        if FAILS.load(Ordering::SeqCst) {
            return Err(Failure(call));
        }
        Ok(call)
    }
    LazyLock::force(&CLOCK);
    GATE.notify_one();
    assert_eq!(within("a value is loaded", load()).await, Ok(1));
    CLOCK.advance(1_000_000_000 * SECOND);
    let renews = task::spawn(load());
    settle().await;
    assert_eq!(within("a value is loaded", load()).await, Ok(1));
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    // It cannot be renewed: the old value has to do.
    FAILS.store(true, Ordering::SeqCst);
    GATE.notify_one();
    assert_eq!(done("the renews ends", renews).await, Ok(1));
    FAILS.store(false, Ordering::SeqCst);
    GATE.notify_one();
    assert_eq!(within("a value is loaded", load()).await, Ok(3));
    // Too old for that.
    CLOCK.advance(1_030_000_000 * SECOND);
    FAILS.store(true, Ordering::SeqCst);
    GATE.notify_one();
    assert_eq!(within("a value is loaded", load()).await, Err(Failure(4)));
}

/// A timeout around the cache lets go of a slow computation, and the next caller takes it up.
#[tokio::test]
async fn a_timeout_around_a_computation_strands_nobody() {
    counter!(CALLS);
    #[timeout("10ms")]
    #[cache]
    async fn slow() -> Result<u32, premier::Error> {
        if next(&CALLS) == 1 {
            std::future::pending::<()>().await;
        }
        Ok(7)
    }
    LazyLock::force(&CLOCK);
    let first = task::spawn(slow());
    settle().await;
    CLOCK.advance(Duration::from_millis(10));
    assert!(done("the first ends", first).await.is_err());
    assert_eq!(within("the next caller computes", slow()).await.unwrap(), 7);
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

trait Load: 'static {
    type Value: Clone + Send + Sync + 'static;
    fn load(id: u64) -> Self::Value;
}

struct Outer;
struct Inner;

impl Load for Outer {
    type Value = String;
    fn load(id: u64) -> String {
        by_type::<Inner>(id).to_string()
    }
}

impl Load for Inner {
    type Value = u64;
    fn load(id: u64) -> u64 {
        id
    }
}

#[cache(key = id)]
fn by_type<T: Load>(id: u64) -> T::Value {
    T::load(id)
}

#[test]
fn one_instance_of_a_generic_function_may_call_another_with_its_key() {
    LazyLock::force(&CLOCK);
    assert_eq!(by_type::<Outer>(1), "1");
}

#[test]
fn a_value_may_live_for_ever() {
    #[cache(ttl = Duration::MAX)]
    fn forever(key: u32) -> u32 {
        key
    }
    #[cache(ttl = "200000d", stale = "200000d")]
    fn nearly(key: u32) -> u32 {
        key
    }
    LazyLock::force(&CLOCK);
    assert_eq!((forever(1), forever(1), nearly(2), nearly(2)), (1, 1, 2, 2));
}
