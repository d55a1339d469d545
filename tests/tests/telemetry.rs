//! The metrics and log events that premier emits.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use premier::clock::ManualClock;
use premier::{Config, Error, Limit, MemoryHandler, OnBackendError, RedisHandler, Throttle};
use premier::{cache, circuit_breaker, retry, throttle, timeout};
use premier_tests::listener::Listener;
use premier_tests::waits::{eventually, finishes};
use tracing::Level;

const MINUTE: Duration = Duration::from_secs(60);

/// The recorder of metrics, one for the process.
fn numbers() -> &'static Snapshotter {
    static NUMBERS: std::sync::OnceLock<Snapshotter> = std::sync::OnceLock::new();
    log();
    NUMBERS.get_or_init(|| {
        let recorder = DebuggingRecorder::new();
        let numbers = recorder.snapshotter();
        recorder.install().unwrap();
        numbers
    })
}

/// The subscriber for log events, one for the process. It must exist before the first event,
/// because callsites cache whether a subscriber is interested.
fn log() -> &'static Events {
    static LOG: std::sync::OnceLock<Events> = std::sync::OnceLock::new();
    LOG.get_or_init(|| {
        let events = Events::default();
        let kept = Arc::clone(&events.0);
        let listener = Listener::to_premier(move |metadata, text| {
            let event = (thread::current().id(), *metadata.level(), text);
            kept.lock().unwrap().push(event);
        });
        tracing::subscriber::set_global_default(listener).unwrap();
        events
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Number {
    Counter(u64),
    Gauge(f64),
    Histogram(Vec<f64>),
}

impl From<DebugValue> for Number {
    fn from(value: DebugValue) -> Self {
        match value {
            DebugValue::Counter(count) => Self::Counter(count),
            DebugValue::Gauge(value) => Self::Gauge(value.into_inner()),
            DebugValue::Histogram(all) => {
                Self::Histogram(all.into_iter().map(|value| value.into_inner()).collect())
            }
        }
    }
}

/// Held by a test that calls a Redis which is down, because the metric of its failures has no label
/// that tells one handler from another.
static REDIS_IS_DOWN: Mutex<()> = Mutex::new(());

/// How many calls of a store have failed.
fn backend_errors() -> usize {
    match &*value(&["premier_backend_seconds", "store=redis", "outcome=error"]) {
        [] => 0,
        [(_, Number::Histogram(all))] => all.len(),
        other => panic!("{other:?}"),
    }
}

/// The current values of all metrics whose name and labels contain each of these parts.
fn value(parts: &[&str]) -> Vec<(String, Number)> {
    static SEEN: Mutex<Vec<(String, Number)>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().unwrap();
    // A snapshot holds only what was counted since the previous snapshot.
    for (key, _, _, value) in numbers().snapshot().into_vec() {
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        let value = Number::from(value);
        let known = seen.iter_mut().find(|(seen, _)| *seen == name);
        match (known.map(|(_, known)| known), value) {
            (Some(Number::Counter(total)), Number::Counter(more)) => *total += more,
            (Some(Number::Histogram(all)), Number::Histogram(more)) => all.extend(more),
            // This gauge is incremented and decremented, others are set.
            (Some(Number::Gauge(sum)), Number::Gauge(more))
                if name.starts_with("premier_waiting_calls") =>
            {
                *sum += more;
            }
            (Some(known), value) => *known = value,
            (None, value) => seen.push((name, value)),
        }
    }
    seen.iter()
        .filter(|(name, _)| parts.iter().all(|part| name.contains(part)))
        .cloned()
        .collect()
}

#[track_caller]
fn assert_count(parts: &[&str], expected: u64) {
    match &*value(parts) {
        [(_, Number::Counter(count))] => assert_eq!(*count, expected, "{parts:?}"),
        other => panic!("{parts:?}: {other:?}"),
    }
}

#[throttle(rate = "2/min", key = user, name = "annotated")]
fn annotated(user: &str) {
    let _ = user;
}

#[timeout("5ms")]
async fn slow() -> Result<(), Error> {
    std::future::pending().await
}

#[circuit_breaker(failures = 1, open_for = "10ms")]
fn guarded(fails: bool) -> Result<(), Error> {
    match fails {
        true => Err(Error::backend("test", "down")),
        false => Ok(()),
    }
}

#[cache(ttl = "1m")]
fn remembered(key: u32) -> u32 {
    key
}

#[test]
fn decisions_are_counted_by_function_algorithm_and_outcome_but_never_by_key() {
    numbers();
    for _ in 0..5 {
        let _ = annotated("alice");
    }
    let parts = [
        "premier_decisions_total",
        "function=telemetry:annotated",
        "algo=fixed_window",
    ];
    let of = |decision| [parts[0], parts[1], parts[2], decision];
    assert_count(&of("decision=admitted"), 2);
    assert_count(&of("decision=denied"), 3);
    assert!(value(&["alice"]).is_empty());
}

#[test]
fn retries_timeouts_breakers_and_caches_are_counted() {
    numbers();
    let failing = || Err::<(), _>(Error::backend("test", "down"));
    #[retry(max = 3, base = "1ms", jitter = "none")]
    fn tries(call: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        call()
    }
    assert!(tries(&failing).is_err());
    assert_count(&["premier_retries_total", "tries"], 2);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let timed = finishes("the timeout ends the call", move || {
        runtime.block_on(slow())
    });
    assert!(timed.is_err());
    assert_count(&["premier_timeouts_total", "slow"], 1);

    assert!(guarded(true).is_err());
    // A snapshot holds only what was set since the previous one.
    let state = || {
        let states = value(&["premier_breaker_state", "guarded"]);
        let is_set = |(_, value): &(String, Number)| *value == Number::Gauge(1.0);
        let set: Vec<_> = states.into_iter().filter(is_set).collect();
        match &*set {
            [(name, _)] => name.rsplit('=').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(state(), "open}");
    std::thread::sleep(Duration::from_millis(20));
    assert!(guarded(false).is_ok());
    assert_eq!(state(), "closed}");
    assert_count(
        &["premier_breaker_changes_total", "guarded", "to=half_open"],
        1,
    );
    assert_count(
        &["premier_breaker_changes_total", "guarded", "to=closed"],
        1,
    );

    for key in [1, 1, 1, 2] {
        remembered(key);
    }
    assert_count(
        &["premier_cache_lookups_total", "remembered", "outcome=hit"],
        2,
    );
    assert_count(
        &["premier_cache_lookups_total", "remembered", "outcome=miss"],
        2,
    );
}

#[test]
fn waits_and_outages_are_measured() {
    numbers();
    let clock = ManualClock::auto_advancing();
    let memory = MemoryHandler::builder().clock(clock).build();
    let limit = Limit::token_bucket(100, Duration::from_secs(1)).burst(1);
    let paced = Throttle::new("paced", limit).with_config(memory).wait();
    finishes("three calls are admitted", move || {
        for _ in 0..3 {
            paced.acquire("k").unwrap();
        }
    });
    match &*value(&["premier_waiting_calls", "function=paced"]) {
        [(_, Number::Gauge(waiting))] => assert_eq!(waiting.to_bits(), 0, "nobody waits any more"),
        other => panic!("{other:?}"),
    }
    match &*value(&["premier_wait_seconds", "function=paced"]) {
        [(_, Number::Histogram(waits))] => {
            assert_eq!(waits.len(), 2);
            assert!(
                waits.iter().all(|wait| (0.005..1.0).contains(wait)),
                "{waits:?}"
            );
        }
        other => panic!("{other:?}"),
    }

    let _alone = REDIS_IS_DOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let errors_before = backend_errors();
    let nowhere = RedisHandler::connect("redis://127.0.0.1:1/").unwrap();
    let config = Config::new(nowhere).on_backend_error(OnBackendError::Memory);
    let throttle = Throttle::new("outage", Limit::fixed_window(1, MINUTE)).with_config(config);
    assert!(throttle.check("k").unwrap().allowed);
    assert!(!throttle.check("k").unwrap().allowed);
    assert_count(&["premier_outage_decisions_total", "policy=memory"], 2);
    assert_count(
        &[
            "premier_decisions_total",
            "function=outage",
            "decision=admitted",
        ],
        1,
    );
    assert_count(
        &[
            "premier_decisions_total",
            "function=outage",
            "decision=denied",
        ],
        1,
    );
    assert_eq!(backend_errors() - errors_before, 2);
}

/// Keeps the events of premier with their thread, level and fields.
#[derive(Default)]
struct Events(Arc<Mutex<Vec<(ThreadId, Level, String)>>>);

/// The events that `work` emits on this thread.
fn events(work: impl FnOnce()) -> Vec<(Level, String)> {
    let (log, thread) = (log(), thread::current().id());
    let own = || -> Vec<_> {
        let all = log.0.lock().unwrap();
        all.iter()
            .filter(|(of, ..)| *of == thread)
            .map(|(_, level, text)| (*level, text.clone()))
            .collect()
    };
    let before = own().len();
    work();
    own().split_off(before)
}

#[test]
fn an_event_has_the_level_of_its_decision_and_no_key() {
    let emitted = events(|| {
        let throttle = Throttle::new("logged", Limit::fixed_window(1, MINUTE))
            .with_config(MemoryHandler::new());
        for _ in 0..2 {
            let _ = throttle.check("alice").unwrap();
        }
    });
    let [admitted, denied] = &*emitted else {
        panic!("{emitted:?}");
    };
    assert_eq!((admitted.0, denied.0), (Level::TRACE, Level::DEBUG));
    for part in [
        "function=\"logged\"",
        "algo=\"fixed_window\"",
        "decision=\"denied\"",
    ] {
        assert!(denied.1.contains(part), "{emitted:?}");
    }
    assert!(
        !emitted.iter().any(|(_, text)| text.contains("alice")),
        "{emitted:?}"
    );
}

/// The events of all threads at a level that contain all of these parts.
fn events_of_all(level: Level, parts: &[&str]) -> Vec<String> {
    let all = log().0.lock().unwrap();
    all.iter()
        .filter(|(_, of, text)| *of == level && parts.iter().all(|part| text.contains(part)))
        .map(|(.., text)| text.clone())
        .collect()
}

/// How many calls these summaries are about.
fn calls(summaries: &[String]) -> u64 {
    let calls = |text: &String| {
        let calls = text.split("calls=").nth(1)?.split(' ').next()?;
        calls.parse::<u64>().ok()
    };
    summaries.iter().filter_map(calls).sum()
}

#[test]
fn denials_are_summed_up_once_a_second() {
    log();
    let throttle =
        Throttle::new("summed", Limit::fixed_window(1, MINUTE)).with_config(MemoryHandler::new());
    let began = Instant::now();
    for _ in 0..1_001 {
        let _ = throttle.check("alice").unwrap();
    }
    let took = began.elapsed();
    let parts = ["function=\"summed\"", "decision=\"denied\""];
    let summaries = || events_of_all(Level::INFO, &parts);
    // Real time is the point: a summary comes after a second.
    eventually("all denials are in a summary", || {
        calls(&summaries()) == 1_000
    });
    // A second may end among the calls.
    let most = 2 + took.as_secs() as usize;
    assert!(summaries().len() <= most, "{:?}", summaries());
}

#[test]
fn a_call_without_a_decision_says_why_and_nothing_of_its_key() {
    numbers();
    let memory = MemoryHandler::builder().max_keys(1).build();
    let throttle = Throttle::new("why", Limit::fixed_window(1, MINUTE)).with_config(memory);
    throttle.acquire("alice").unwrap();
    let emitted = events(|| {
        for _ in 0..3 {
            assert!(throttle.acquire("bob").is_err());
        }
        assert!(throttle.clone().cost(2).acquire("alice").is_err());
    });
    let warnings = emitted.iter().filter(|(at, _)| *at == Level::WARN);
    let (too_many_keys, cost): (Vec<_>, Vec<_>) =
        warnings.partition(|(_, text)| text.contains("reason=\"too_many_keys\""));
    // The first of each second: one may end among the three calls.
    assert!((1..=2).contains(&too_many_keys.len()), "{emitted:?}");
    assert!(
        too_many_keys
            .iter()
            .all(|(_, text)| text.contains("1 keys are in use")),
        "{emitted:?}"
    );
    let [(_, cost)] = &*cost else {
        panic!("{emitted:?}");
    };
    let parts = ["reason=\"cost_exceeds_capacity\"", "costs 2"];
    assert!(parts.iter().all(|part| cost.contains(part)), "{emitted:?}");
    let has_key = |(_, text): &(Level, String)| text.contains("alice") || text.contains("bob");
    assert!(!emitted.iter().any(has_key), "{emitted:?}");
    let reasons = |reason| ["premier_decision_errors_total", "function=why", reason];
    assert_count(&reasons("reason=too_many_keys"), 3);
    assert_count(&reasons("reason=cost_exceeds_capacity"), 1);
    // Those that came within the same second are summed up.
    let parts = ["function=\"why\"", "reason=\"too_many_keys\"", "calls="];
    let summaries = || events_of_all(Level::WARN, &parts);
    eventually("the failures are summed up", || calls(&summaries()) == 3);
    assert!(summaries().len() <= 2, "{:?}", summaries());
}

#[test]
fn with_log_keys_events_contain_the_escaped_key() {
    let emitted = events(|| {
        let config = Config::new(MemoryHandler::new()).log_keys(true);
        let throttle = Throttle::new("keys", Limit::fixed_window(1, MINUTE)).with_config(config);
        throttle.acquire("alice\n2026-11-24 INFO forged").unwrap();
    });
    assert!(
        emitted[0].1.contains(r"key=alice\n2026-11-24 INFO forged"),
        "{emitted:?}"
    );
}

#[test]
fn errors_and_breaker_changes_are_logged_as_warnings() {
    let _alone = REDIS_IS_DOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let emitted = events(|| {
        let nowhere = RedisHandler::connect("redis://127.0.0.1:1/").unwrap();
        let throttle = Throttle::new("down", Limit::fixed_window(1, MINUTE)).with_config(nowhere);
        assert!(throttle.check("k").is_err());
        let _ = trips();
    });
    let has = |level, part: &str| {
        emitted
            .iter()
            .any(|(at, text)| *at == level && text.contains(part))
    };
    assert!(has(Level::WARN, "decision=\"error\""), "{emitted:?}");
    assert!(has(Level::WARN, "to=\"open\""), "{emitted:?}");
}

#[circuit_breaker(failures = 1)]
fn trips() -> Result<(), Error> {
    Err(Error::backend("test", "down"))
}

/// The Grafana dashboard queries every metric that the manual lists, and no other.
#[test]
fn the_grafana_dashboard_queries_exactly_the_documented_metrics() {
    let dashboard = include_str!("../../examples/web_api/grafana.json");
    let manual = include_str!("../../premier/src/lib.rs");
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    let names = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .filter(|word| word.starts_with("premier_") && !word.starts_with("premier_runtime"))
            .filter(|word| !word.starts_with("premier_macros"))
            .filter(|word| !word.starts_with("premier_conformance"))
            .map(|word| word.trim_end_matches("_bucket").to_owned())
            .collect()
    };
    let mut emitted = names(manual);
    // The dashboard shows changes of a breaker by its state over time.
    emitted.remove("premier_breaker_changes_total");
    assert_eq!(names(dashboard), emitted);
}
