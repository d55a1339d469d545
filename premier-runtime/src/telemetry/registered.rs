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

/// How often a value is shown again that changes while it is shown. A recorder may change it itself.
const MOST: usize = 3;

/// Shows a value that other threads may change and show meanwhile. The last one to do so finds that the value is still
/// what it has shown.
pub(super) fn show_latest<V: PartialEq>(current: impl Fn() -> V, show: impl Fn(&V)) {
    let mut shown = current();
    for _ in 0..MOST {
        show(&shown);
        let latest = current();
        if latest == shown {
            return;
        }
        shown = latest;
    }
}
