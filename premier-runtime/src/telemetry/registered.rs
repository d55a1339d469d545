//! Metrics that are registered once, and gauges of numbers that several threads change.

use std::sync::OnceLock;

/// Returns the metrics in a cell. The first call registers them, before it takes the lock of the cell: a recorder
/// is code of the user's, which may come back here. Of metrics that are registered at the same time, one handle
/// is kept.
#[inline]
pub(super) fn registered<M>(cell: &OnceLock<M>, register: impl FnOnce() -> M) -> &M {
    if let Some(metrics) = cell.get() {
        return metrics;
    }
    let metrics = register();
    cell.get_or_init(|| metrics)
}

/// Sets a gauge to a number that other threads may change and set meanwhile. The last one to do so finds that the
/// number is still what it has set.
pub(super) fn set_to_latest(gauge: &metrics::Gauge, number: impl Fn() -> usize) {
    let mut current = number();
    loop {
        gauge.set(current as f64);
        let latest = number();
        if latest == current {
            return;
        }
        current = latest;
    }
}
