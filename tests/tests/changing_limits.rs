//! Limits that change at run time keep what was consumed and give no credit for the past.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Algo, Config, Error, Limit, MemoryHandler, RedisHandler, Throttle, limits};
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, joined};

const MINUTE: Duration = Duration::from_secs(60);

/// A name that no other test has.
fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("limit {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn in_memory() -> (ManualClock, MemoryHandler) {
    let clock = ManualClock::new();
    (clock.clone(), MemoryHandler::builder().clock(clock).build())
}

fn admitted(throttle: &Throttle, key: &str, most: usize) -> usize {
    (0..most)
        .take_while(|_| throttle.check(key).unwrap().allowed)
        .count()
}

/// Six of ten taken, then the quota is raised and lowered. What there is then follows from what was
/// taken, and never from the time before the change.
#[track_caller]
fn assert_kept(handler: Config, algo: Algo, raised: usize) {
    let name = name();
    let limit = |quota| match algo {
        Algo::LeakyBucket => Limit::new(algo, quota, MINUTE).bucket_size(quota - 1),
        _ => Limit::new(algo, quota, MINUTE),
    };
    let throttle = Throttle::with_handler(handler, &name, limit(10));
    assert_eq!(admitted(&throttle, "k", 6), 6, "{algo}");
    assert_eq!(limits::set(&name, limit(20)).unwrap(), 1);
    assert_eq!(admitted(&throttle, "k", 100), raised, "{algo}");
    limits::set(&name, limit(5)).unwrap();
    assert_eq!(admitted(&throttle, "k", 100), 0, "{algo}");
    // A key that has taken nothing has the new limit whole.
    assert_eq!(admitted(&throttle, "other", 100), 5, "{algo}");
    assert_eq!(limits::reset(&name), 1);
    assert_eq!(admitted(&throttle, "third", 100), 10, "{algo}");
}

#[test]
fn what_was_consumed_stays_consumed() {
    let redis = Server::start();
    for (algo, raised) in [
        (Algo::FixedWindow, 14),
        (Algo::SlidingWindow, 14),
        (Algo::SlidingLog, 14),
        // A bucket owes time: six tokens of 6 s each, as many as twelve of 3 s.
        (Algo::TokenBucket, 8),
        (Algo::LeakyBucket, 8),
    ] {
        let (_clock, memory) = in_memory();
        assert_kept(memory.into(), algo, raised);
        let handler = RedisHandler::connect(redis.url()).unwrap();
        assert_kept(Config::new(handler).keyspace(algo.as_str()), algo, raised);
    }
}

#[test]
fn a_higher_rate_counts_from_now_on() {
    let (clock, memory) = in_memory();
    let name = name();
    let throttle = Throttle::with_handler(memory, &name, Limit::token_bucket(1, MINUTE).burst(10));
    assert_eq!(admitted(&throttle, "k", 100), 10);
    clock.advance(Duration::from_secs(59));
    assert_eq!(admitted(&throttle, "k", 100), 0);
    // A thousand times the rate: of the 59 s there is nothing more than there was.
    limits::set(&name, Limit::token_bucket(1_000, MINUTE).burst(10)).unwrap();
    let decision = throttle.check("k").unwrap();
    assert!(!decision.allowed);
    clock.advance(decision.retry_after);
    assert_eq!(admitted(&throttle, "k", 100), 1);
    clock.advance(Duration::from_millis(60));
    assert_eq!(admitted(&throttle, "k", 100), 1);
}

#[test]
fn changes_that_cannot_be_made_change_nothing() {
    let (_clock, memory) = in_memory();
    let name = name();
    let throttle = Throttle::with_handler(memory, &name, Limit::fixed_window(2, MINUTE));
    assert_eq!(admitted(&throttle, "k", 1), 1);
    for (limits, message) in [
        (vec![Limit::fixed_window(0, MINUTE)], "quota must be"),
        (
            vec![Limit::token_bucket(5, MINUTE)],
            "token_bucket cannot stand for fixed_window",
        ),
        (
            vec![Limit::fixed_window(5, MINUTE); 2],
            "2 limits cannot stand for 1",
        ),
        (vec![], "there has to be one"),
    ] {
        let error = limits::set_all(&name, &limits).unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        let text = error.to_string();
        assert!(text.contains(message) && text.contains(&name), "{text}");
    }
    assert_eq!(admitted(&throttle, "k", 10), 1);
}

#[test]
fn what_is_wanted_of_a_name_is_what_its_first_use_begins_with() {
    let name = name();
    assert_eq!(
        limits::set(&name, Limit::fixed_window(3, MINUTE)).unwrap(),
        0
    );
    let (_clock, memory) = in_memory();
    let throttle = Throttle::with_handler(memory, &name, Limit::fixed_window(1, MINUTE));
    assert_eq!(admitted(&throttle, "k", 10), 3);
    let listed = limits::list();
    let listed = listed.iter().find(|limit| *limit.name == *name).unwrap();
    assert_eq!(listed.limits, [Limit::fixed_window(3, MINUTE)]);
    drop(throttle);
    assert!(limits::list().iter().all(|limit| *limit.name != *name));
    limits::reset(&name);
}

#[premier::throttle(rate = "1/min")]
fn annotated() {}

#[test]
fn annotated_functions_are_known_by_the_name_in_their_errors() {
    assert!(annotated().is_ok());
    let error = annotated().unwrap_err().to_string();
    assert!(error.contains("changing_limits:annotated"), "{error}");
    let limit = Limit::fixed_window(3, MINUTE);
    assert_eq!(limits::set("changing_limits:annotated", limit).unwrap(), 1);
    assert!(annotated().is_ok() && annotated().is_ok() && annotated().is_err());
}

#[test]
fn a_waiter_hears_of_a_higher_limit() {
    let name = name();
    let throttle = Throttle::new(&name, Limit::fixed_window(1, MINUTE)).wait();
    throttle.acquire("k").unwrap();
    let waiter = std::thread::spawn({
        let throttle = throttle.clone();
        move || throttle.acquire("k").map(drop)
    });
    eventually("the waiter hears of the higher limit", || {
        limits::set(&name, Limit::fixed_window(2, MINUTE)).unwrap();
        limits::reset(&name);
        limits::set(&name, Limit::fixed_window(2, MINUTE)).unwrap();
        waiter.is_finished()
    });
    joined("the waiter ends", waiter).unwrap().unwrap();
}

/// Threads that decide while the limit changes never see anything but one of its values.
#[test]
fn changes_and_decisions_meet() {
    let (clock, memory) = in_memory();
    let name = name();
    let throttle = Throttle::with_handler(memory, &name, Limit::token_bucket(10, MINUTE));
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let allowed = throttle.check("k").unwrap().allowed;
                    taken.fetch_add(usize::from(allowed), Ordering::Relaxed);
                }
            });
        }
        for nth in 0..500 {
            // The debt is time: no sequence of these gives more than the largest does.
            limits::set(&name, Limit::token_bucket([10, 20, 5][nth % 3], MINUTE)).unwrap();
        }
    });
    assert!((5..=20).contains(&taken.into_inner()));
    limits::reset(&name);
    clock.advance(2 * MINUTE);
    assert_eq!(admitted(&throttle, "k", 100), 10);
}

#[track_caller]
fn within_a_second(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(1), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One test, for a process has one file.
#[test]
fn a_limits_file_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("limits.toml");
    fs::write(&file, "[limits.from_file]\nrate = \"3/min\"\n").unwrap();

    let refused = premier::config(Config::new(MemoryHandler::new()).limits_file("/nowhere.toml"));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("/nowhere.toml cannot be read")
    );
    // Others in this process may have begun to decide.
    let configured = premier::config(Config::new(MemoryHandler::new()).limits_file(&file));
    if matches!(configured, Err(Error::AlreadyConfigured)) {
        return alone();
    }
    configured.unwrap();
    let throttle = Throttle::new("from_file", Limit::token_bucket(1, MINUTE));
    assert_eq!(admitted(&throttle, "k", 10), 3);

    let limit = || {
        let listed = limits::list();
        let found = listed.iter().find(|limit| &*limit.name == "from_file");
        found.unwrap().limits[0]
    };
    fs::write(&file, "[limits.from_file]\nrate = \"6/min\"\nburst = 12\n").unwrap();
    within_a_second("a valid edit", || {
        limit() == Limit::token_bucket(6, MINUTE).burst(12)
    });
    // 60 s of debt are 6 tokens of now 10 s each: consumed state is kept.
    assert_eq!(admitted(&throttle, "k", 100), 6);

    // Two mistakes: nothing of it applies, the good entry neither.
    for (text, line) in [
        (
            "[limits.from_file]\nrate = \"9/min\"\n\n[limits.b]\nrate = \"x\"\n",
            "line 5",
        ),
        (
            "[limits.from_file]\nrate = \"9/min\"\nalgo = \"fixed_window\"\n",
            "line 1",
        ),
        ("[limits.from_file]\nrate = \"9/min\"\n= oops\n", "line 3"),
    ] {
        fs::write(&file, text).unwrap();
        within_a_second(text, || {
            limits::file_status()
                .unwrap()
                .error
                .is_some_and(|error| error.to_string().contains(line))
        });
        assert_eq!(limit(), Limit::token_bucket(6, MINUTE).burst(12));
    }
    // As Kubernetes does it: another file is moved over.
    let other = directory.path().join("other");
    fs::write(&other, "[limits.from_file]\nrate = \"7/min\"\n").unwrap();
    fs::rename(&other, &file).unwrap();
    within_a_second("a file moved over", || {
        limit() == Limit::token_bucket(7, MINUTE)
    });
    assert!(limits::file_status().unwrap().error.is_none());

    fs::remove_file(&file).unwrap();
    within_a_second("no file", || limits::file_status().unwrap().error.is_some());
    assert_eq!(limit(), Limit::token_bucket(7, MINUTE));
    fs::write(&file, "").unwrap();
    within_a_second("an entry taken out", || {
        limit() == Limit::token_bucket(1, MINUTE)
    });
}

/// The same in a process of its own.
fn alone() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_limits_file_is_followed"])
        .status()
        .unwrap();
    assert!(status.success());
}
