//! Settling a call of a function for what it has really cost.

use crate::attributes::into_arg::Cost;
use crate::limiter::taken::Taken;

/// A call that one throttle has admitted, to be settled once the output is known. Dropped before, it keeps or
/// refunds its units, as `on_drop` says.
pub struct Settlement(Taken);

impl Settlement {
    pub(super) const fn new(taken: Taken) -> Self {
        Self(taken)
    }

    /// Sets the cost of the call to `units`. The store is updated in the background, so the caller neither waits nor
    /// fails. An invalid number changes nothing.
    pub fn settle(&self, units: impl Cost) {
        if let Ok(units) = units.units() {
            self.0.settle_detached(units);
        }
    }
}

impl std::fmt::Debug for Settlement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settlement")
            .field("cost", &self.0.cost())
            .finish_non_exhaustive()
    }
}
