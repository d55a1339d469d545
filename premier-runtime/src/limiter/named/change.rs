//! Limits that change while calls decide and wait.

use std::sync::{Arc, PoisonError};

use super::Limiter;
use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::lease::Lease;
use crate::limit::quota::Limit;
use crate::limiter::known_plans::plans;
use crate::limiter::wait_queue::HeldSlots;

impl Limiter {
    /// The limits in the code, without an override.
    pub(in crate::limiter) const fn stated(&self) -> &Arc<[Plan]> {
        &self.stated
    }

    /// Lets the fast path look for a collector of decisions from now on.
    #[cfg(feature = "tower")]
    pub(in crate::limiter) fn look_for_collector(&self) {
        // Under the lock under which the limits change, so that it does not undo a change.
        let plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fast_path) = &self.fast_path {
            fast_path.set_limits(&plans);
        }
    }

    /// Takes the slots of all waiters. They get new ones once the guard is dropped.
    pub(in crate::limiter) fn hold_slots(&self) -> HeldSlots<'_> {
        self.queues()
            .hold_all(|key, what| self.give_back_now(key, what))
    }

    /// Lets all waiters ask again, because the limits have changed. Their slots are given back.
    pub(in crate::limiter) fn ask_again(&self) {
        self.queues()
            .recall_all(|key, what| self.give_back_now(key, what));
    }

    /// Decides by `plans` from now on. States are kept.
    pub(in crate::limiter) fn replace(&self, plans: Arc<[Plan]>) {
        self.store.register(&plans);
        // Both change under one lock, so that concurrent changes cannot leave them at different limits.
        let mut current = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fast_path) = &self.fast_path {
            fast_path.set_limits(&plans);
        }
        *current = plans;
    }

    /// The plans of limits that are to replace those in force. A limit without a lease has the lease that the code
    /// states.
    ///
    /// # Errors
    /// [`Error::Config`] that says why the limits cannot replace those in force.
    pub(in crate::limiter) fn replacement(&self, limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
        let stated = self
            .stated
            .first()
            .and_then(|plan| plan.limit().stated_lease());
        let with_lease = |limit: &Limit| match (limit.stated_lease(), stated) {
            (None, Some(Lease::Units(units))) => {
                limit.lease(Lease::Units(units.min(limit.capacity())))
            }
            (None, Some(lease)) => limit.lease(lease),
            _ => *limit,
        };
        let limits: Vec<_> = limits.iter().map(with_lease).collect();
        let plans = plans(&self.name, &limits)?;
        if plans.len() != self.stated.len() {
            return Err(Error::config(format!(
                "{} limits cannot stand for {}: the state of each is kept",
                plans.len(),
                self.stated.len()
            )));
        }
        for (plan, stated) in plans.iter().zip(&*self.stated) {
            let (algo, stated) = (plan.limit().algo(), stated.limit().algo());
            if algo != stated {
                return Err(Error::config(format!(
                    "{algo} cannot stand for {stated}: its state is of another kind"
                )));
            }
        }
        Ok(plans)
    }
}
