//! Metrics that are registered at their first use.

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
