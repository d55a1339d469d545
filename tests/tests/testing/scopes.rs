//! `premier::testing`: tests of the same functions run at the same time and do not see each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::testing::{Scope, scope, scope_async};
use premier::{
    Config, Error, Limit, MemoryHandler, RetryBudget, Throttle, assert_throttled, cache,
    circuit_breaker, concurrency, limits, retry, throttle, timeout,
};
use premier_tests::waits::{done, joined};

const HOUR: Duration = Duration::from_secs(3_600);

fn with_clock() -> (ManualClock, MemoryHandler) {
    let clock = ManualClock::new();
    (clock.clone(), MemoryHandler::builder().clock(clock).build())
}

thread_local! {
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

#[throttle(rate = "2/h", key = user)]
fn send(user: u32) -> Result<(), Error> {
    let _ = user;
    Ok(())
}

#[throttle(rate = "1/h")]
async fn send_async() -> Result<(), Error> {
    Ok(())
}

#[cache(ttl = "1h")]
fn number(seed: u32) -> u32 {
    RUNS.set(RUNS.get() + 1);
    seed
}

#[circuit_breaker(failures = 2, within = "1h", open_for = "1h")]
fn fails() -> Result<(), Error> {
    Err(Error::backend("test", "no"))
}

#[retry(max = 3, base = "1h")]
async fn fails_for_hours(runs: &AtomicUsize) -> Result<(), Error> {
    runs.fetch_add(1, Ordering::Relaxed);
    Err(Error::backend("test", "no"))
}

#[concurrency(limit = 1)]
fn alone(within: fn() -> bool) -> Result<bool, Error> {
    Ok(within())
}

fn shared() -> &'static Throttle {
    static SHARED: std::sync::LazyLock<Throttle> =
        std::sync::LazyLock::new(|| Throttle::new("shared", Limit::token_bucket(1, HOUR)));
    &SHARED
}

/// A user's test, with a clock of its own and the functions of the program.
fn a_test(clock: &ManualClock) {
    // Two failures open the circuit, and one call probes it later.
    for failures in [2, 1] {
        send(1).unwrap();
        send(1).unwrap();
        assert_throttled!(send(1));
        send(2).unwrap();
        shared().acquire("k").unwrap();
        assert_throttled!(shared().check("k").unwrap());
        RUNS.set(0);
        assert_eq!((number(7), number(7), RUNS.get()), (7, 7, 1));
        for _ in 0..failures {
            assert!(matches!(fails(), Err(Error::Backend { .. })));
        }
        assert!(matches!(fails(), Err(Error::CircuitOpen { .. })));
        let nested = alone(|| matches!(alone(|| true), Err(Error::ConcurrencyExceeded { .. })));
        assert!(nested.unwrap());
        clock.advance(HOUR);
        clock.advance(HOUR);
    }
}

#[test]
fn two_hundred_tests_of_the_same_functions_do_not_see_each_other() {
    let threads: Vec<_> = (0..100)
        .map(|_| {
            thread::spawn(|| {
                let (clock, memory) = with_clock();
                scope(memory, || a_test(&clock));
            })
        })
        .collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            runtime.spawn(async {
                let (clock, memory) = with_clock();
                scope_async(memory, async {
                    for _ in 0..3 {
                        send_async().await.unwrap();
                        tokio::task::yield_now().await;
                        assert_throttled!(send_async().await);
                        clock.advance(HOUR);
                    }
                    a_test(&clock);
                })
                .await;
            })
        })
        .collect();
    for thread in threads {
        joined("a test", thread).unwrap();
    }
    for task in tasks {
        runtime.block_on(done("an async test", task));
    }
}

#[tokio::test]
async fn waits_and_retries_sleep_by_the_clock_of_the_scope() {
    let (clock, memory) = with_clock();
    let runs = AtomicUsize::new(0);
    let test = scope_async(memory, fails_for_hours(&runs));
    let drive = async {
        for sleeps in 1..=2 {
            while clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(runs.load(Ordering::Relaxed), sleeps);
            clock.advance(2 * HOUR);
            tokio::task::yield_now().await;
        }
    };
    let (failed, ()) = tokio::join!(test, drive);
    assert!(failed.is_err());
    assert_eq!(runs.into_inner(), 3);
}

#[test]
fn limits_that_a_test_changes_stay_as_they_are_for_others() {
    let outer = Scope::new(MemoryHandler::new());
    outer.run(|| {
        send(1).unwrap();
        scope(MemoryHandler::new(), || {
            send(1).unwrap();
            let name = limits::list()[0].name.clone();
            assert_eq!(limits::list().len(), 1);
            limits::set(&name, Limit::fixed_window(1, HOUR)).unwrap();
            assert_throttled!(send(1));
        });
        send(1).unwrap();
        assert_throttled!(send(1));
    });
}

#[test]
fn values_that_a_test_invalidates_stay_cached_for_others() {
    #[cache(name = "scoped value")]
    fn value() -> u32 {
        RUNS.set(RUNS.get() + 1);
        RUNS.get()
    }
    let outer = Scope::new(MemoryHandler::new());
    outer.run(|| {
        RUNS.set(0);
        assert_eq!(value(), 1);
        scope(MemoryHandler::new(), || {
            assert_eq!((value(), value()), (2, 2));
            cache::clear("scoped value").unwrap();
            assert_eq!(value(), 3);
        });
        assert_eq!(value(), 1);
    });
}

#[test]
fn a_scope_has_its_own_configuration() {
    let budget = Config::new(MemoryHandler::new()).retry_budget(RetryBudget::new(0.0));
    #[retry(max = 3, base = 0)]
    fn attempt() -> Result<(), Error> {
        RUNS.set(RUNS.get() + 1);
        Err(Error::backend("test", "no"))
    }
    let runs = |config: Config| {
        RUNS.set(0);
        scope(config, || attempt().unwrap_err());
        RUNS.get()
    };
    assert_eq!((runs(budget), runs(MemoryHandler::new().into())), (1, 3));
}

#[test]
fn a_test_lets_a_limit_refuse_and_counts_its_decisions() {
    let scope = Scope::new(MemoryHandler::new());
    scope.run(|| {
        send(1).unwrap();
        scope.refuse("send");
        assert_throttled!(send(2));
        assert_throttled!(send(3));
        scope.decide("send");
        send(2).unwrap();
    });
    let decisions = scope.decisions("send");
    assert_eq!((decisions.admitted, decisions.denied), (2, 2));
    assert_eq!(
        Scope::new(MemoryHandler::new()).decisions("send").admitted,
        0
    );
}

#[tokio::test]
async fn threads_and_tasks_are_within_a_scope_that_they_are_given() {
    let scope = Scope::new(MemoryHandler::new());
    scope
        .run_async(async {
            send_async().await.unwrap();
            let scope = Scope::current().unwrap();
            let task = tokio::spawn(scope.run_async(async { send_async().await.is_err() }));
            assert!(done("the task", task).await);
            let thread = thread::spawn(move || scope.run(|| send(9).is_ok()));
            assert!(joined("the thread", thread).unwrap());
            let outside = thread::spawn(|| Scope::current().is_some());
            assert!(!joined("the thread outside", outside).unwrap());
        })
        .await;
    assert!(Scope::current().is_none());
    assert_eq!(scope.decisions("send").admitted, 1);
}

#[test]
fn the_worker_of_a_sync_timeout_is_within_the_scope() {
    #[timeout(60)]
    fn on_a_worker() -> Result<bool, Error> {
        Ok(Scope::current().is_some())
    }
    scope(MemoryHandler::new(), || assert!(on_a_worker().unwrap()));
    assert!(!on_a_worker().unwrap());
}

#[test]
fn a_throttle_with_a_configuration_of_its_own_keeps_it() {
    let own = Throttle::new("own", Limit::token_bucket(1, HOUR)).with_config(MemoryHandler::new());
    own.acquire("k").unwrap();
    scope(MemoryHandler::new(), || assert_throttled!(own.acquire("k")));
}

#[test]
fn a_panic_within_a_scope_leaves_it() {
    let panicked = std::panic::catch_unwind(|| scope(MemoryHandler::new(), || panic!("as meant")));
    assert!(panicked.is_err());
    assert!(Scope::current().is_none());
}
