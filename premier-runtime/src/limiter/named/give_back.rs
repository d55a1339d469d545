//! Giving units and slots back, charging more, and waking the waiters that this concerns.

use std::sync::Arc;

use super::Limiter;
use crate::algorithms::Plan;
use crate::error::Error;
use crate::limit::decision::Reservation;
use crate::limiter::wait_queue::{GiveBack, Reason};
use crate::store::request::Operation;

impl Limiter {
    /// Corrects the cost of a call that has run, by [`Operation::Release`] or [`Operation::Charge`]. Blocks the
    /// thread where the store does. `from_fallback` says whether the fallback of the store had decided the call.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) fn correct(
        &self,
        key: Option<&str>,
        correction: Operation,
        from_fallback: bool,
    ) -> Result<(), Error> {
        let plans = self.plans();
        let request = self.request(key, &plans, correction);
        let corrected = self.store.correct(&request, from_fallback);
        corrected.map_err(|error| error.at(&self.name, key))?;
        self.corrected(key, &plans, correction);
        Ok(())
    }

    /// As [`Limiter::correct`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Limiter::correct`].
    pub(crate) async fn correct_async(
        &self,
        key: Option<&str>,
        correction: Operation,
        from_fallback: bool,
    ) -> Result<(), Error> {
        let plans = self.plans();
        let request = self.request(key, &plans, correction);
        let corrected = self.store.correct_async(request, from_fallback).await;
        corrected.map_err(|error| error.at(&self.name, key))?;
        self.corrected(key, &plans, correction);
        Ok(())
    }

    /// As [`Limiter::correct`], in the background. A failure is not reported.
    pub(crate) fn correct_detached(
        &self,
        key: Option<&str>,
        correction: Operation,
        from_fallback: bool,
    ) {
        let plans = self.plans();
        let request = self.request(key, &plans, correction);
        self.store.correct_detached(&request, from_fallback);
        self.corrected(key, &plans, correction);
    }

    /// Lets waiters move up after their units are known to be free. A store outside of the process decides by a
    /// clock of its own, so it is not known there, and the last slot of a queue has no slot behind it.
    fn corrected(&self, key: Option<&str>, plans: &Arc<[Plan]>, correction: Operation) {
        let Operation::Release(slot, units) = correction else {
            return;
        };
        let now = self.clock().now();
        let is_counted = self.is_immediate()
            && !self.is_queue
            && (0..plans.len()).all(|index| now < slot.until(index));
        if is_counted {
            self.refunded(key, units);
        } else {
            self.queues().notify(key);
        }
    }

    /// Gives back the slot of a caller that does not use it. A failure is not reported; the slot is then lost.
    pub(crate) fn release(&self, key: Option<&str>, slot: Reservation, units: u64) {
        self.release_by(&self.plans(), key, slot, units);
    }

    /// As [`Limiter::release`], for a slot that was taken under `plans`.
    pub(in crate::limiter) fn release_by(
        &self,
        plans: &[Plan],
        key: Option<&str>,
        slot: Reservation,
        units: u64,
    ) {
        let request = self.request(key, plans, Operation::Release(slot, units));
        self.store.correct_detached(&request, slot.from_fallback);
        match slot.end(0) {
            0 => self.refunded(key, units),
            // The waiters behind the slot have moved up already.
            _ => self.queues().notify(key),
        }
    }

    /// Gives back what waiters have given up, in the background. A failure is not reported.
    pub(in crate::limiter) fn give_back(&self, key: Option<&str>, what: &GiveBack) {
        match (what.reason, what.operation) {
            (Reason::Abandoned, Operation::Release(slot, units)) => {
                self.release_by(&what.plans, key, slot, units);
            }
            (_, operation) => {
                let request = self.request(key, &what.plans, operation);
                self.store.correct_detached(&request, what.from_fallback);
            }
        }
    }

    /// As [`Limiter::give_back`], but returns only when the store has answered. May block the thread.
    pub(super) fn give_back_now(&self, key: Option<&str>, what: &GiveBack) {
        let request = self.request(key, &what.plans, what.operation);
        let _ = self.store.correct(&request, what.from_fallback);
    }

    /// Lets the waiters of a key move up, because `units` were refunded.
    pub(crate) fn refunded(&self, key: Option<&str>, units: u64) {
        self.queues().advance(key, units);
        self.queues().notify(key);
    }

    /// Lets the waiters of a key ask again, because its state was removed.
    pub(crate) fn forgotten(&self, key: Option<&str>) {
        self.queues().ask_again(key);
        self.queues().notify(key);
    }
}
