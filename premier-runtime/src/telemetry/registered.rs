//! Metrics that are registered once, and gauges of numbers that several threads change.

use std::sync::OnceLock;

/// Returns the metrics in a cell. The first call registers them, without the lock of the cell, because a recorder is
/// user code and may call this function again. If several threads register metrics at once, one handle is kept.
#[inline]
pub(super) fn registered<M>(cell: &OnceLock<M>, register: impl FnOnce() -> M) -> &M {
    if let Some(metrics) = cell.get() {
        return metrics;
    }
    let metrics = register();
    cell.get_or_init(|| metrics)
}

/// How often a value is shown at most that changes meanwhile. The recorder itself may be what changes it.
const MAX_ATTEMPTS: usize = 3;

/// Shows a value that other threads may change and show meanwhile. Each thread shows it again until it has not
/// changed, so the last value is the one that stays.
pub(super) fn show_latest<V: PartialEq>(current: impl Fn() -> V, show: impl Fn(&V)) {
    let mut shown = current();
    for _ in 0..MAX_ATTEMPTS {
        show(&shown);
        let latest = current();
        if latest == shown {
            return;
        }
        shown = latest;
    }
}

/// Counts one more call in a gauge, or one less.
pub(super) fn count(gauge: &metrics::Gauge, is_more: bool) {
    match is_more {
        true => gauge.increment(1.0),
        false => gauge.decrement(1.0),
    }
}
