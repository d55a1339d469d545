//! A limit that changes at run time keeps its consumed units and gives no credit for the past.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Algo, Config, Error, Limit, MemoryHandler, Throttle, limits};
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, joined};

const MINUTE: Duration = Duration::from_secs(60);

/// A limit name that no other test uses.
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

/// Takes six of ten units, then raises and lowers the quota. What remains must follow from the
/// units taken, never from the time that passed before the change.
#[track_caller]
fn assert_kept(handler: Config, algo: Algo, raised: usize) {
    let name = name();
    let limit = |quota| match algo {
        Algo::LeakyBucket => Limit::new(algo, quota, MINUTE).bucket_size(quota - 1),
        _ => Limit::new(algo, quota, MINUTE),
    };
    let throttle = Throttle::new(&name, limit(10)).with_config(handler);
    assert_eq!(admitted(&throttle, "k", 6), 6, "{algo}");
    assert_eq!(limits::set(&name, limit(20)).unwrap(), 1);
    assert_eq!(admitted(&throttle, "k", 100), raised, "{algo}");
    limits::set(&name, limit(5)).unwrap();
    assert_eq!(admitted(&throttle, "k", 100), 0, "{algo}");
    // A new key has the full new limit.
    assert_eq!(admitted(&throttle, "other", 100), 5, "{algo}");
    assert_eq!(limits::reset(&name), 1);
    assert_eq!(admitted(&throttle, "third", 100), 10, "{algo}");
}

#[test]
fn a_change_of_the_quota_keeps_the_consumed_units() {
    let redis = Server::start();
    for (algo, raised) in [
        (Algo::FixedWindow, 14),
        (Algo::SlidingWindow, 14),
        (Algo::SlidingLog, 14),
        // The debt of a bucket is time: six tokens of 6 s each equal twelve of 3 s.
        (Algo::TokenBucket, 8),
        (Algo::LeakyBucket, 8),
    ] {
        let (_clock, memory) = in_memory();
        assert_kept(memory.into(), algo, raised);
        let handler = redis.handler();
        assert_kept(Config::new(handler).keyspace(algo.as_str()), algo, raised);
    }
}

#[test]
fn a_higher_rate_applies_from_the_change_on() {
    let (clock, memory) = in_memory();
    let name = name();
    let throttle =
        Throttle::new(&name, Limit::token_bucket(1, MINUTE).burst(10)).with_config(memory);
    assert_eq!(admitted(&throttle, "k", 100), 10);
    clock.advance(Duration::from_secs(59));
    assert_eq!(admitted(&throttle, "k", 100), 0);
    // The rate is a thousand times higher, but the 59 s before the change add nothing.
    limits::set(&name, Limit::token_bucket(1_000, MINUTE).burst(10)).unwrap();
    let decision = throttle.check("k").unwrap();
    assert!(!decision.allowed);
    clock.advance(decision.retry_after);
    assert_eq!(admitted(&throttle, "k", 100), 1);
    clock.advance(Duration::from_millis(60));
    assert_eq!(admitted(&throttle, "k", 100), 1);
}

#[test]
fn an_invalid_change_changes_nothing() {
    let (_clock, memory) = in_memory();
    let name = name();
    let throttle = Throttle::new(&name, Limit::fixed_window(2, MINUTE)).with_config(memory);
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
fn an_override_set_before_the_first_use_applies_from_the_first_use() {
    let name = name();
    assert_eq!(
        limits::set(&name, Limit::fixed_window(3, MINUTE)).unwrap(),
        0
    );
    let (_clock, memory) = in_memory();
    let throttle = Throttle::new(&name, Limit::fixed_window(1, MINUTE)).with_config(memory);
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
fn the_limit_of_an_annotated_function_has_the_name_in_its_errors() {
    assert!(annotated().is_ok());
    let error = annotated().unwrap_err().to_string();
    assert!(
        error.contains("limits::changing_limits:annotated"),
        "{error}"
    );
    let limit = Limit::fixed_window(3, MINUTE);
    assert_eq!(
        limits::set("limits::changing_limits:annotated", limit).unwrap(),
        1
    );
    assert!(annotated().is_ok() && annotated().is_ok() && annotated().is_err());
}

#[test]
fn a_waiter_is_notified_of_a_higher_limit() {
    let name = name();
    let throttle = Throttle::new(&name, Limit::fixed_window(1, MINUTE)).wait();
    throttle.acquire("k").unwrap();
    let waiter = std::thread::spawn({
        let throttle = throttle.clone();
        move || throttle.acquire("k").map(drop)
    });
    eventually("the waiter is notified of the higher limit", || {
        limits::set(&name, Limit::fixed_window(2, MINUTE)).unwrap();
        limits::reset(&name);
        limits::set(&name, Limit::fixed_window(2, MINUTE)).unwrap();
        waiter.is_finished()
    });
    joined("the waiter ends", waiter).unwrap().unwrap();
}

/// A thread that decides during a change sees the old limit or the new one, never a mixture.
#[test]
fn decisions_during_a_change_use_the_old_limit_or_the_new_one() {
    let (clock, memory) = in_memory();
    let name = name();
    let throttle = Throttle::new(&name, Limit::token_bucket(10, MINUTE)).with_config(memory);
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
            // The debt is time, so no sequence of these limits admits more than the largest.
            limits::set(&name, Limit::token_bucket([10, 20, 5][nth % 3], MINUTE)).unwrap();
        }
    });
    assert!((5..=20).contains(&taken.into_inner()));
    limits::reset(&name);
    clock.advance(2 * MINUTE);
    assert_eq!(admitted(&throttle, "k", 100), 10);
}

/// A change is applied within a second. The bound allows for a busy machine, and is below the ten seconds or the
/// minute after which other programs read a file again.
const SOON: Duration = Duration::from_secs(6);

#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One test, because a process follows one limits file.
#[test]
fn changes_of_the_limits_file_are_applied() {
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
    // Other tests of this process may already have configured it.
    let configured = premier::config(Config::new(MemoryHandler::new()).limits_file(&file));
    if matches!(configured, Err(Error::AlreadyConfigured)) {
        return rerun_in_own_process();
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
    soon("a valid edit", || {
        limit() == Limit::token_bucket(6, MINUTE).burst(12)
    });
    // The consumed units stay: 60 s of debt are 6 tokens of 10 s each.
    assert_eq!(admitted(&throttle, "k", 100), 6);

    // A file with a mistake applies no entry, not even a valid one.
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
        soon(text, || {
            limits::file_status()
                .unwrap()
                .error
                .is_some_and(|error| error.to_string().contains(line))
        });
        assert_eq!(limit(), Limit::token_bucket(6, MINUTE).burst(12));
    }
    // Kubernetes replaces a mounted file by renaming another over it.
    let other = directory.path().join("other");
    fs::write(&other, "[limits.from_file]\nrate = \"7/min\"\n").unwrap();
    fs::rename(&other, &file).unwrap();
    soon("a file moved over", || {
        limit() == Limit::token_bucket(7, MINUTE)
    });
    assert!(limits::file_status().unwrap().error.is_none());

    fs::remove_file(&file).unwrap();
    soon("no file", || limits::file_status().unwrap().error.is_some());
    assert_eq!(limit(), Limit::token_bucket(7, MINUTE));
    fs::write(&file, "[limits]\n").unwrap();
    soon("an entry taken out", || {
        limit() == Limit::token_bucket(1, MINUTE)
    });
}

/// Runs the test above again in a process of its own.
fn rerun_in_own_process() {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "changing_limits::changes_of_the_limits_file_are_applied",
        ])
        .spawn()
        .unwrap();
    let mut status = None;
    eventually("the process ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
}
