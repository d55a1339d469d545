//! The help and the unit of every metric.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{KeyName, Recorder, SharedString, Unit};

use self::Kind::{Counter, Gauge, Histogram};

/// How a metric is recorded.
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const METRICS: &[(&str, Kind, Unit, &str)] = &[
    (
        "premier_decisions_total",
        Counter,
        Unit::Count,
        "Calls that limits have decided about, by decision.",
    ),
    (
        "premier_decision_errors_total",
        Counter,
        Unit::Count,
        "Calls without a decision, by reason.",
    ),
    (
        "premier_wait_seconds",
        Histogram,
        Unit::Seconds,
        "How long calls that were admitted after a wait have waited.",
    ),
    (
        "premier_waiting_calls",
        Gauge,
        Unit::Count,
        "Calls that wait for a limit or for a permit.",
    ),
    (
        "premier_keys",
        Gauge,
        Unit::Count,
        "Keys of a limit that the memory of this process keeps.",
    ),
    (
        "premier_key_evictions_total",
        Counter,
        Unit::Count,
        "Keys that were removed from the memory of this process because they owed nothing any more.",
    ),
    (
        "premier_permits_in_use",
        Gauge,
        Unit::Count,
        "Calls of a function with #[concurrency] that run, under all keys.",
    ),
    (
        "premier_permits",
        Gauge,
        Unit::Count,
        "How many calls of a function with #[concurrency] may run at a time, under each key.",
    ),
    (
        "premier_rejected_calls_total",
        Counter,
        Unit::Count,
        "Calls that were rejected without a decision of a limit: by an open circuit breaker, or for lack of a permit or a key.",
    ),
    (
        "premier_retries_total",
        Counter,
        Unit::Count,
        "Attempts that followed a failed one.",
    ),
    (
        "premier_timeouts_total",
        Counter,
        Unit::Count,
        "Calls that did not finish within their timeout.",
    ),
    (
        "premier_fallbacks_total",
        Counter,
        Unit::Count,
        "Calls that returned the value of their fallback.",
    ),
    (
        "premier_breaker_state",
        Gauge,
        Unit::Count,
        "1 for the state of a circuit breaker without keys, 0 for its other states.",
    ),
    (
        "premier_breaker_keys",
        Gauge,
        Unit::Count,
        "How many keys of a circuit breaker are in a state: open or half open.",
    ),
    (
        "premier_breaker_changes_total",
        Counter,
        Unit::Count,
        "Changes of a circuit breaker, under all keys, by the state it changed to.",
    ),
    (
        "premier_cache_lookups_total",
        Counter,
        Unit::Count,
        "Look-ups in a cache, by outcome.",
    ),
    (
        "premier_cache_entries",
        Gauge,
        Unit::Count,
        "Values that a cache keeps in this process, expired ones among them.",
    ),
    (
        "premier_cache_evictions_total",
        Counter,
        Unit::Count,
        "Values that a cache has removed because it was full.",
    ),
    (
        "premier_backend_seconds",
        Histogram,
        Unit::Seconds,
        "How long calls of a store outside of the process have taken, by outcome.",
    ),
    (
        "premier_backend_up",
        Gauge,
        Unit::Count,
        "1 while the server of a store can be reached, else 0.",
    ),
    (
        "premier_outage_decisions_total",
        Counter,
        Unit::Count,
        "Calls that the outage policy has decided because the store could not.",
    ),
    (
        "premier_limits_file_in_force",
        Gauge,
        Unit::Count,
        "1 while the limits file as it is now is in force, 0 while it is refused or cannot be read.",
    ),
    (
        "premier_limits_file_applied_total",
        Counter,
        Unit::Count,
        "How often the limits file was applied.",
    ),
    (
        "premier_limits_file_unknown_names",
        Gauge,
        Unit::Count,
        "Entries of the limits file whose name no limit of this process has had.",
    ),
];

/// Describes all metrics to the recorder in use, unless it was the last one that they were described to. A
/// program that installs an exporter late has them described again by the next limit that is first used.
pub(super) fn describe() {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    metrics::with_recorder(|recorder| {
        let address = ptr::from_ref(recorder).addr();
        if LAST.swap(address, Ordering::Relaxed) != address {
            describe_to(recorder);
        }
    });
}

fn describe_to(recorder: &dyn Recorder) {
    for (name, kind, unit, help) in METRICS {
        let (name, unit) = (KeyName::from_const_str(name), Some(*unit));
        let help = SharedString::const_str(help);
        match kind {
            Counter => recorder.describe_counter(name, unit, help),
            Gauge => recorder.describe_gauge(name, unit, help),
            Histogram => recorder.describe_histogram(name, unit, help),
        }
    }
}
