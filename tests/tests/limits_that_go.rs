//! Limits come and go: the units that a dropped one has taken are kept as long as they count, and no longer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{
    Algo, BoxFuture, Config, Decision, Error, Handler, Limit, MemoryHandler, OnBackendError,
    Request, Throttle, limits,
};

const SECOND: Duration = Duration::from_secs(1);
const MANY: u64 = 200_000;

const ALGOS: [Algo; 5] = [
    Algo::FixedWindow,
    Algo::SlidingWindow,
    Algo::SlidingLog,
    Algo::TokenBucket,
    Algo::LeakyBucket,
];

/// A limit of 2 units that an empty key has at once.
fn two_in_a_minute(algo: Algo) -> Limit {
    Limit::new(algo, 2, 60 * SECOND)
}

fn manual_memory() -> (ManualClock, MemoryHandler) {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    (clock, memory)
}

/// Memory is counted for each thread, but equal limits of all threads share their plans, so another thread may free
/// the plans of this one: nothing else binds limits while memory is counted.
static COUNTING: RwLock<()> = RwLock::new(());

/// Keeps the other tests from counting memory.
fn no_counting() -> RwLockReadGuard<'static, ()> {
    COUNTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes that `work` allocates and does not free.
fn bytes_kept(work: impl FnOnce()) -> i64 {
    let _counting = COUNTING.write().unwrap_or_else(PoisonError::into_inner);
    allocation_counter::measure(work).bytes_current
}

/// Far less than a byte for each of [`MANY`] limits.
#[track_caller]
fn assert_next_to_nothing(bytes: i64) {
    assert!(bytes < 64 * 1024, "{bytes} bytes were kept");
}

#[test]
fn dropped_limits_that_owe_nothing_take_no_memory() {
    let (clock, memory) = manual_memory();
    assert_next_to_nothing(bytes_kept(|| {
        let limit = two_in_a_minute(Algo::TokenBucket);
        for tenant in 0..MANY {
            let name = format!("tenant-{tenant}");
            let throttle = Throttle::new(&name, limit).with_config(memory.clone());
            assert!(throttle.check("key").unwrap().allowed);
        }
        assert_eq!(memory.keys(), MANY as usize);
        clock.advance(60 * SECOND);
        let further = Throttle::new("further", limit).with_config(memory.clone());
        assert!(further.check("key").unwrap().allowed);
        assert_eq!(memory.keys(), 1);
    }));
}

#[test]
fn limits_of_every_algorithm_that_lived_at_one_time_take_no_memory_once_dropped() {
    for algo in ALGOS {
        let (clock, memory) = manual_memory();
        let kept = bytes_kept(|| {
            let bind = |tenant: u64| {
                let name = format!("{algo}-{tenant}");
                let limit = two_in_a_minute(algo);
                let throttle = Throttle::new(&name, limit).with_config(memory.clone());
                throttle.acquire("key").unwrap();
                throttle
            };
            let live: Vec<_> = (0..2_000).map(bind).collect();
            drop(live);
            clock.advance(120 * SECOND);
            bind(2_000);
        });
        assert_next_to_nothing(kept);
    }
}

#[test]
fn a_limit_with_many_keys_takes_no_memory_once_dropped() {
    let (clock, memory) = manual_memory();
    assert_next_to_nothing(bytes_kept(|| {
        let limit = two_in_a_minute(Algo::SlidingWindow);
        let throttle = Throttle::new("many keys", limit).with_config(memory.clone());
        for key in 0..50_000 {
            assert!(throttle.check(&key).unwrap().allowed);
        }
        drop(throttle);
        clock.advance(120 * SECOND);
        let further = Throttle::new("further", limit).with_config(memory.clone());
        assert!(further.check("key").unwrap().allowed);
        assert_eq!(memory.keys(), 1);
    }));
}

#[test]
fn a_live_limit_with_one_key_takes_less_than_a_kilobyte_and_a_half() {
    let (_clock, memory) = manual_memory();
    let (limit, count) = (two_in_a_minute(Algo::FixedWindow), 10_000);
    let mut live = Vec::with_capacity(count);
    let kept = bytes_kept(|| {
        for tenant in 0..count {
            let throttle =
                Throttle::new(&format!("live-{tenant}"), limit).with_config(memory.clone());
            assert!(throttle.check("key").unwrap().allowed);
            live.push(throttle);
        }
    });
    let each = kept / count as i64;
    assert!(each < 1_536, "{each} bytes");
}

#[test]
fn changes_of_a_limit_take_no_memory() {
    let (_clock, memory) = manual_memory();
    let throttle = Throttle::new("changes", Limit::fixed_window(1, SECOND)).with_config(memory);
    assert!(throttle.check("key").unwrap().allowed);
    assert_next_to_nothing(bytes_kept(|| {
        for quota in 2..=MANY {
            limits::set("changes", Limit::fixed_window(quota, SECOND)).unwrap();
        }
    }));
    assert_eq!(throttle.check("key").unwrap().remaining, MANY - 2);
}

#[test]
fn a_new_limit_counts_the_units_that_a_dropped_one_of_its_name_has_taken() {
    let _guard = no_counting();
    for algo in ALGOS {
        let (clock, memory) = manual_memory();
        let limit = two_in_a_minute(algo);
        let bind = || Throttle::new("returning", limit).with_config(memory.clone());
        let (fresh, further) = (bind().peek("key").unwrap().remaining, "further");
        assert!(bind().cost(2).check("key").unwrap().allowed);
        for _ in 0..59 {
            clock.advance(SECOND);
            let _ = Throttle::new(further, limit)
                .with_config(memory.clone())
                .check("key")
                .unwrap();
        }
        let left = bind().peek("key").unwrap().remaining;
        assert!(left < fresh, "{algo}: {left}");
        clock.advance(61 * SECOND);
        assert_eq!(bind().peek("key").unwrap().remaining, fresh, "{algo}");
    }
}

#[test]
fn a_live_limit_keeps_its_state_when_others_are_dropped() {
    let _guard = no_counting();
    let (clock, memory) = manual_memory();
    let limit = two_in_a_minute(Algo::FixedWindow);
    let lives = Throttle::new("lives", limit).with_config(memory.clone());
    let shares = Throttle::new("lives", limit).with_config(memory.clone());
    let clone = lives.clone();
    assert!(lives.check("key").unwrap().allowed);
    drop(lives);
    drop(shares);
    for other in 0..1_000 {
        clock.advance(SECOND);
        Throttle::new(&format!("goes-{other}"), limit)
            .with_config(memory.clone())
            .acquire("key")
            .unwrap();
    }
    assert!(clone.cost(2).check("key").unwrap().allowed);
    let joins = Throttle::new("lives", limit).with_config(memory);
    assert_eq!(joins.peek("key").unwrap().remaining, 0);
}

#[test]
fn limits_that_come_and_go_on_many_threads_never_admit_more_than_their_quota() {
    let _guard = no_counting();
    let (clock, memory) = manual_memory();
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    // Far enough for a dropped limit to be examined.
                    clock.advance(SECOND / 1_000);
                    let limit = Limit::fixed_window(100, 3_600 * SECOND);
                    let throttle = Throttle::new("contended", limit).with_config(memory.clone());
                    let decision = throttle.check("key").unwrap();
                    admitted.fetch_add(u64::from(decision.allowed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
}

/// Passes requests on to a memory handler, to which no limit is bound.
#[derive(Debug)]
struct Wrapper(MemoryHandler);

impl Handler for Wrapper {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.0.handle(request)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        self.0.clear(keyspace)
    }
}

#[test]
fn a_memory_handler_behind_another_handler_knows_what_was_taken() {
    let _guard = no_counting();
    let (clock, memory) = manual_memory();
    let wrapper = Wrapper(memory.clone());
    let throttle =
        Throttle::new("wrapped", two_in_a_minute(Algo::FixedWindow)).with_config(wrapper);
    assert!(throttle.check("key").unwrap().allowed);
    clock.advance(59 * SECOND);
    assert_eq!(throttle.check("key").unwrap().remaining, 0);
    assert_eq!(memory.keys(), 1);
    clock.advance(SECOND);
    assert_eq!(throttle.check("other").unwrap().remaining, 1);
    assert_eq!(memory.keys(), 1);
}

#[test]
fn a_dropped_limit_is_no_longer_listed() {
    let _guard = no_counting();
    let (_clock, memory) = manual_memory();
    let is_listed = || limits::list().iter().any(|limit| &*limit.name == "listed");
    let throttle = Throttle::new("listed", two_in_a_minute(Algo::FixedWindow)).with_config(memory);
    assert!(!is_listed());
    assert!(throttle.check("key").unwrap().allowed);
    assert!(is_listed());
    drop(throttle);
    assert!(!is_listed());
}

#[test]
fn an_override_outlives_the_limit_until_it_is_reset() {
    let _guard = no_counting();
    let (_clock, memory) = manual_memory();
    let bind = || {
        let limit = two_in_a_minute(Algo::FixedWindow);
        Throttle::new("overridden", limit).with_config(memory.clone())
    };
    assert!(bind().check("key").unwrap().allowed);
    let five = Limit::fixed_window(5, 60 * SECOND);
    assert_eq!(limits::set("overridden", five).unwrap(), 0);
    assert_eq!(bind().check("key").unwrap().remaining, 3);
    assert_eq!(limits::reset("overridden"), 0);
    assert_eq!(bind().peek("key").unwrap().remaining, 0);
}

/// A store that cannot be reached.
#[derive(Debug)]
struct Unreachable;

impl Handler for Unreachable {
    fn handle(&self, _: &Request<'_>) -> Result<Decision, Error> {
        Err(Error::backend("test", "it cannot be reached"))
    }

    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        Box::pin(async move { self.handle(&request) })
    }

    fn clear(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// The fallback uses the system's clock, so the test waits in real time.
#[test]
fn dropped_limits_take_no_memory_in_the_fallback_of_a_store() {
    let config = Config::new(Unreachable).on_backend_error(OnBackendError::Memory);
    premier::config(config).unwrap();
    let hour = Limit::fixed_window(1, 3_600 * SECOND);
    assert!(Throttle::new("owes", hour).check("key").unwrap().allowed);
    assert_next_to_nothing(bytes_kept(|| {
        let limit = Limit::fixed_window(1, SECOND / 50);
        for tenant in 0..2_000 {
            let throttle = Throttle::new(&format!("fallback-{tenant}"), limit);
            assert!(throttle.check("key").unwrap().allowed);
        }
        for _ in 0..40 {
            thread::sleep(SECOND / 20);
            assert!(
                Throttle::new("further", limit)
                    .check("key")
                    .unwrap()
                    .allowed
            );
        }
    }));
    assert!(!Throttle::new("owes", hour).check("key").unwrap().allowed);
}
