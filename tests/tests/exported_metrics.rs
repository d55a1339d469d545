//! The metrics as Prometheus reads them from the exporter that the example sets up.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::{Request, Response};
use premier::clock::ManualClock;
use premier::tower::{MissingKey, RequestKey, ThrottleLayer};
use premier::{
    Config, Error, Limit, MemoryHandler, OnBackendError, Throttle, cache, circuit_breaker,
    concurrency, fallback, retry, throttle, timeout,
};
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, eventually};
use tower::{Layer, ServiceExt, service_fn};

const MINUTE: Duration = Duration::from_secs(60);

/// Renders the metrics. The first call installs the exporter and a limits file, before anything is recorded.
static EXPORTER: LazyLock<Box<dyn Fn() -> String + Send + Sync>> = LazyLock::new(|| {
    let exporter = web_api::prometheus().unwrap();
    let directory = tempfile::tempdir().unwrap().keep();
    let file = directory.join("limits.toml");
    fs::write(&file, "[limits.unknown]\nrate = \"3/min\"\n").unwrap();
    premier::config(Config::new(MemoryHandler::new()).limits_file(&file)).unwrap();
    Box::new(move || {
        exporter.run_upkeep();
        exporter.render()
    })
});

/// The value of the only metric with this name whose labels contain each of these.
#[track_caller]
fn value(name: &str, labels: &[&str]) -> Option<f64> {
    let text = EXPORTER();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        })
        .collect();
    match &*lines {
        [] => None,
        [line] => line.rsplit(' ').next().unwrap().parse().ok(),
        several => panic!("{several:?}"),
    }
}

#[throttle(rate = "2/min", key = user, name = "annotated")]
fn annotated(user: &str) -> Result<(), Error> {
    let _ = user;
    Ok(())
}

#[retry(max = 2, base = 0, name = "retried")]
#[fallback(|_| Ok(()), name = "replaced")]
#[timeout("1ms", name = "timed")]
fn slow() -> Result<(), Error> {
    // Longer than the deadline, however late the caller wakes up.
    std::thread::sleep(LONGEST);
    Ok(())
}

#[retry(max = 2, base = 0, name = "retried")]
fn failing() -> Result<(), Error> {
    Err(Error::backend("test", "down"))
}

#[circuit_breaker(failures = 1, name = "guarded")]
fn guarded() -> Result<(), Error> {
    Err(Error::backend("test", "down"))
}

#[circuit_breaker(failures = 1, key = host, name = "guarded by host")]
fn guarded_by_host(host: &str) -> Result<(), Error> {
    let _ = host;
    Err(Error::backend("test", "down"))
}

#[concurrency(limit = 2, name = "limited")]
fn limited(inside: &dyn Fn()) -> Result<(), Error> {
    inside();
    Ok(())
}

#[cache(capacity = 2, name = "remembered")]
fn remembered(key: u32) -> u32 {
    key
}

/// Uses everything that has metrics, once.
fn use_everything() {
    static USED: LazyLock<()> = LazyLock::new(use_each);
    LazyLock::force(&USED);
}

fn use_each() {
    LazyLock::force(&EXPORTER);
    for _ in 0..3 {
        let _ = annotated("alice");
    }
    let _ = (slow(), failing(), guarded(), guarded_by_host("a"));
    limited(&|| {}).unwrap();
    for key in 0..4 {
        remembered(key);
    }
    let paced = Throttle::new(
        "paced",
        Limit::token_bucket(1_000, Duration::from_secs(1)).burst(1),
    );
    for _ in 0..2 {
        paced.clone().wait().acquire("k").unwrap();
    }
    let redis = Server::start();
    let handler = redis.handler();
    let config = Config::new(handler).on_backend_error(OnBackendError::Memory);
    let shared = Throttle::new("shared", Limit::fixed_window(1, MINUTE)).with_config(config);
    assert!(shared.check("k").unwrap().allowed);
    // Events of the connection come from a thread.
    eventually("the server is up", || {
        value("premier_backend_up", &["store=\"redis\""]).is_some()
    });
}

#[test]
fn promtool_finds_no_fault() {
    use_everything();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus, is installed");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(EXPORTER().as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}

#[test]
fn the_grafana_dashboard_has_data_of_every_metric_that_it_queries() {
    use_everything();
    let dashboard = include_str!("../../examples/web_api/grafana.json");
    let text = EXPORTER();
    let exported: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let queried: BTreeSet<_> = dashboard
        .split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("premier_"))
        .collect();
    let missing: Vec<_> = queried.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?} in {text}");
    assert!(queried.contains("premier_wait_seconds_bucket"));
}

#[test]
fn the_metrics_of_a_limit_begin_at_zero_with_its_first_use() {
    LazyLock::force(&EXPORTER);
    #[throttle(rate = "2/min", name = "fresh")]
    fn fresh() -> Result<(), Error> {
        Ok(())
    }
    fresh().unwrap();
    let labels = ["function=\"exported_metrics:fresh\"", "store=\"memory\""];
    for decision in ["denied", "shadow_denied", "error"] {
        let decision = format!("decision=\"{decision}\"");
        let labels = [labels[0], labels[1], &decision];
        assert_eq!(value("premier_decisions_total", &labels), Some(0.0));
    }
    for reason in ["backend", "cost_exceeds_capacity", "too_many_keys"] {
        let reason = format!("reason=\"{reason}\"");
        let labels = [labels[0], labels[1], &reason];
        assert_eq!(value("premier_decision_errors_total", &labels), Some(0.0));
    }
    assert_eq!(value("premier_waiting_calls", &labels[..1]), Some(0.0));
    assert_eq!(value("premier_wait_seconds_count", &labels[..1]), Some(0.0));
    assert_eq!(value("premier_keys", &labels[..1]), Some(0.0));
}

#[test]
fn the_metrics_of_an_attribute_begin_at_zero_with_its_first_use() {
    LazyLock::force(&EXPORTER);
    #[timeout("1m", name = "fresh timeout")]
    #[circuit_breaker(name = "fresh breaker")]
    #[concurrency(limit = 7, name = "fresh permits")]
    fn fresh() -> Result<(), Error> {
        Ok(())
    }
    fresh().unwrap();
    let timeouts = value(
        "premier_timeouts_total",
        &["function=\"exported_metrics:fresh timeout\""],
    );
    assert_eq!(timeouts, Some(0.0));
    for (state, expected) in [("closed", 1.0), ("half_open", 0.0), ("open", 0.0)] {
        let to = [
            "function=\"exported_metrics:fresh breaker\"",
            &format!("to=\"{state}\""),
        ];
        assert_eq!(value("premier_breaker_changes_total", &to), Some(0.0));
        let state = [
            "function=\"exported_metrics:fresh breaker\"",
            &format!("state=\"{state}\""),
        ];
        assert_eq!(value("premier_breaker_state", &state), Some(expected));
    }
    let permits = ["function=\"exported_metrics:fresh permits\""];
    assert_eq!(value("premier_permits", &permits), Some(7.0));
    assert_eq!(value("premier_permits_in_use", &permits), Some(0.0));
    assert_eq!(value("premier_rejected_calls_total", &permits), Some(0.0));
}

#[test]
fn a_breaker_is_in_one_state_of_three() {
    LazyLock::force(&EXPORTER);
    #[circuit_breaker(failures = 1, open_for = "1h", name = "broken")]
    fn broken() -> Result<(), Error> {
        Err(Error::backend("test", "down"))
    }
    let state = |state: &str| {
        let state = format!("state=\"{state}\"");
        value(
            "premier_breaker_state",
            &["function=\"exported_metrics:broken\"", &state],
        )
    };
    assert!(broken().is_err());
    assert_eq!(state("open"), Some(1.0));
    assert_eq!(
        (state("closed"), state("half_open")),
        (Some(0.0), Some(0.0))
    );
    assert!(matches!(broken(), Err(Error::CircuitOpen { .. })));
    let rejected = [
        "function=\"exported_metrics:broken\"",
        "by=\"circuit_breaker\"",
    ];
    assert_eq!(value("premier_rejected_calls_total", &rejected), Some(1.0));
}

#[test]
fn a_breaker_with_keys_has_no_state() {
    use_everything();
    let by_host = [
        "function=\"exported_metrics:guarded by host\"",
        "state=\"open\"",
    ];
    assert_eq!(value("premier_breaker_state", &by_host), None);
}

#[test]
fn the_keys_of_a_breaker_are_counted_by_state() {
    LazyLock::force(&EXPORTER);
    #[circuit_breaker(failures = 1, open_for = "20ms", half_open = 1, key = host, name = "hosts")]
    fn hosts(host: u32, inside: &dyn Fn(), works: bool) -> Result<(), Error> {
        let _ = host;
        inside();
        match works {
            true => Ok(()),
            false => Err(Error::backend("test", "down")),
        }
    }
    let keys = |state: &str| {
        let labels = [
            "function=\"exported_metrics:hosts\"",
            &format!("state=\"{state}\""),
        ];
        value("premier_breaker_keys", &labels)
    };
    hosts(1, &|| {}, true).unwrap();
    assert_eq!((keys("open"), keys("half_open")), (Some(0.0), Some(0.0)));
    assert_eq!(keys("closed"), None);
    for host in [1, 2, 3] {
        assert!(hosts(host, &|| {}, false).is_err());
    }
    assert_eq!((keys("open"), keys("half_open")), (Some(3.0), Some(0.0)));
    let probe = &|| assert_eq!((keys("open"), keys("half_open")), (Some(2.0), Some(1.0)));
    eventually("a probe closes the circuit", || {
        hosts(1, probe, true).is_ok()
    });
    assert_eq!((keys("open"), keys("half_open")), (Some(2.0), Some(0.0)));
}

#[test]
fn requests_without_their_key_are_counted() {
    LazyLock::force(&EXPORTER);
    let layer = |name: &str| {
        ThrottleLayer::new(name, Limit::fixed_window(9, MINUTE)).key(RequestKey::header("x-user"))
    };
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let rejected = |name: &str| {
        let labels = [&format!("function=\"{name}\""), "by=\"missing_key\""];
        value("premier_rejected_calls_total", &labels)
    };
    let denying = layer("with a key").layer(service);
    assert_eq!(rejected("with a key"), Some(0.0));
    let shared = layer("with a shared key").missing_key(MissingKey::Shared);
    let shared = shared.layer(service);
    let shadow = layer("with a key, tried out").shadow().layer(service);
    for service in [denying, shared, shadow] {
        runtime.block_on(service.oneshot(Request::new(()))).unwrap();
    }
    assert_eq!(rejected("with a key"), Some(1.0));
    assert_eq!(rejected("with a shared key"), None);
    assert_eq!(rejected("with a key, tried out"), None);
}

#[test]
fn permits_are_in_use_while_calls_run() {
    LazyLock::force(&EXPORTER);
    #[concurrency(limit = 1, name = "alone")]
    fn alone(inside: &dyn Fn()) -> Result<(), Error> {
        inside();
        Ok(())
    }
    let in_use = || {
        value(
            "premier_permits_in_use",
            &["function=\"exported_metrics:alone\""],
        )
    };
    alone(&|| {
        assert_eq!(in_use(), Some(1.0));
        assert!(alone(&|| {}).is_err());
    })
    .unwrap();
    assert_eq!(in_use(), Some(0.0));
    let rejected = ["function=\"exported_metrics:alone\"", "by=\"concurrency\""];
    assert_eq!(value("premier_rejected_calls_total", &rejected), Some(1.0));
}

#[test]
fn the_kept_and_the_removed_keys_of_a_limit_are_counted() {
    LazyLock::force(&EXPORTER);
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    let keyed = Throttle::new("keyed", Limit::fixed_window(1, MINUTE)).with_config(handler.clone());
    let labels = ["function=\"keyed\"", "algo=\"fixed_window\""];
    let keys = || value("premier_keys", &labels);
    let evictions = || value("premier_key_evictions_total", &labels);
    for key in 0..3 {
        assert!(keyed.check(&key).unwrap().allowed);
    }
    assert_eq!((keys(), evictions()), (Some(3.0), Some(0.0)));
    keyed.reset(&0).unwrap();
    assert_eq!((keys(), evictions()), (Some(2.0), Some(0.0)));
    clock.advance(10 * MINUTE);
    for key in 10..1_000 {
        assert!(keyed.check(&key).unwrap().allowed);
    }
    assert_eq!(keys(), Some(handler.keys() as f64));
    assert_eq!(keys().unwrap() + evictions().unwrap(), 2.0 + 990.0);
    assert_eq!(evictions(), Some(2.0));
}

#[test]
fn the_kept_and_the_evicted_values_of_a_cache_are_counted() {
    LazyLock::force(&EXPORTER);
    #[cache(capacity = 2, name = "sized")]
    fn sized(key: u32) -> u32 {
        key
    }
    for key in 0..5 {
        sized(key);
    }
    let entries = || value("premier_cache_entries", &["function=\"sized\""]);
    let evictions = || value("premier_cache_evictions_total", &["function=\"sized\""]);
    assert_eq!((entries(), evictions()), (Some(2.0), Some(3.0)));
    premier::cache::clear("sized").unwrap();
    assert_eq!((entries(), evictions()), (Some(0.0), Some(3.0)));
}

#[test]
fn the_store_of_a_limit_is_among_its_labels() {
    use_everything();
    let admitted = |function: &str, store: &str| {
        let (function, store) = (
            format!("function=\"{function}\""),
            format!("store=\"{store}\""),
        );
        let labels = [&*function, &store, "decision=\"admitted\""];
        value("premier_decisions_total", &labels)
    };
    assert!(admitted("exported_metrics:annotated", "memory").is_some());
    assert!(admitted("shared", "redis").is_some());
    let answered = ["store=\"redis\"", "outcome=\"ok\""];
    assert!(value("premier_backend_seconds_count", &answered) > Some(0.0));
}

#[test]
fn the_limits_file_is_in_force_and_has_an_unknown_name() {
    LazyLock::force(&EXPORTER);
    assert_eq!(value("premier_limits_file_in_force", &[]), Some(1.0));
    assert_eq!(value("premier_limits_file_applied_total", &[]), Some(1.0));
    assert_eq!(value("premier_limits_file_unknown_names", &[]), Some(1.0));
}
