//! What is told to exporters of numbers and to logs.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use premier::{Config, Error, Limit, MemoryHandler, OnBackendError, RedisHandler, Throttle};
use premier::{cache, circuit_breaker, retry, throttle, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const MINUTE: Duration = Duration::from_secs(60);

/// One recorder for the process, as a program has.
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

/// One subscriber for the process, before anything is told of: callsites remember whether anybody
/// listens. Each event with the thread it is from.
fn log() -> &'static Events {
    static LOG: std::sync::OnceLock<Events> = std::sync::OnceLock::new();
    LOG.get_or_init(|| {
        let events = Events::default();
        tracing::subscriber::set_global_default(events.clone()).unwrap();
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

/// All numbers whose name and labels contain each of these, as they are now.
fn value(parts: &[&str]) -> Vec<(String, Number)> {
    static SEEN: Mutex<Vec<(String, Number)>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().unwrap();
    // A snapshot takes what was counted since the last.
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
fn decisions_are_counted_by_function_algorithm_and_outcome_and_never_by_key() {
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
    assert!(runtime.block_on(slow()).is_err());
    assert_count(&["premier_timeouts_total", "slow"], 1);

    assert!(guarded(true).is_err());
    let state = || match &*value(&["premier_breaker_state", "guarded"]) {
        [(_, Number::Gauge(state))] => *state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(), 2.0);
    std::thread::sleep(Duration::from_millis(20));
    assert!(guarded(false).is_ok());
    assert_eq!(state(), 0.0);
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
    let paced = Throttle::new(
        "paced",
        Limit::token_bucket(100, Duration::from_secs(1)).burst(1),
    )
    .wait();
    for _ in 0..3 {
        paced.acquire("k").unwrap();
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

    let nowhere = RedisHandler::connect("redis://127.0.0.1:1/").unwrap();
    let config = Config::new(nowhere).on_backend_error(OnBackendError::Memory);
    let throttle = Throttle::with_handler(config, "outage", Limit::fixed_window(1, MINUTE));
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
    match &*value(&["premier_backend_seconds", "outcome=error"]) {
        [(_, Number::Histogram(all))] => assert_eq!(all.len(), 2),
        other => panic!("{other:?}"),
    }
}

/// Keeps events of premier with their level and fields.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<(ThreadId, Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "premier"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0
            .lock()
            .unwrap()
            .push((thread::current().id(), *event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What was told of while this ran, on this thread.
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
fn events_have_fitting_levels_and_no_key() {
    let told = events(|| {
        let throttle = Throttle::with_handler(
            MemoryHandler::new(),
            "logged",
            Limit::fixed_window(1, MINUTE),
        );
        for _ in 0..2 {
            throttle.check("alice").unwrap();
        }
    });
    let [admitted, denied] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!((admitted.0, denied.0), (Level::TRACE, Level::INFO));
    for part in [
        "function=\"logged\"",
        "algo=\"fixed_window\"",
        "decision=\"denied\"",
    ] {
        assert!(denied.1.contains(part), "{told:?}");
    }
    assert!(
        !told.iter().any(|(_, text)| text.contains("alice")),
        "{told:?}"
    );
}

#[test]
fn keys_are_logged_for_those_who_ask_and_escaped() {
    let told = events(|| {
        let config = Config::new(MemoryHandler::new()).log_keys(true);
        let throttle = Throttle::with_handler(config, "keys", Limit::fixed_window(1, MINUTE));
        throttle.check("alice\n2026-11-24 INFO forged").unwrap();
    });
    assert!(
        told[0].1.contains(r"key=alice\n2026-11-24 INFO forged"),
        "{told:?}"
    );
}

#[test]
fn what_goes_wrong_is_told() {
    let told = events(|| {
        let nowhere = RedisHandler::connect("redis://127.0.0.1:1/").unwrap();
        let throttle = Throttle::with_handler(nowhere, "down", Limit::fixed_window(1, MINUTE));
        assert!(throttle.check("k").is_err());
        let _ = trips();
    });
    let has = |level, part: &str| {
        told.iter()
            .any(|(at, text)| *at == level && text.contains(part))
    };
    assert!(has(Level::WARN, "decision=\"error\""), "{told:?}");
    assert!(has(Level::WARN, "to=\"open\""), "{told:?}");
}

#[circuit_breaker(failures = 1)]
fn trips() -> Result<(), Error> {
    Err(Error::backend("test", "down"))
}

/// The dashboard for Grafana asks for nothing that is not told of, and for all that is.
#[test]
fn the_grafana_dashboard_asks_for_what_there_is() {
    let dashboard = include_str!("../../examples/web_api/grafana.json");
    let manual = include_str!("../../premier/src/lib.rs");
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    let names = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .filter(|word| word.starts_with("premier_") && !word.starts_with("premier_runtime"))
            .filter(|word| !word.starts_with("premier_macros"))
            .map(|word| word.trim_end_matches("_bucket").to_owned())
            .collect()
    };
    let mut told = names(manual);
    // How often it changed is in its state over time.
    told.remove("premier_breaker_changes_total");
    assert_eq!(names(dashboard), told);
}
