//! What an admitted call has taken, until it is known what it has really cost.

use std::cmp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::named::Limiter;
use super::settling::{OnDrop, Settling};
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::limit::decision::{Decision, Reservation};
use crate::store::request::Operation;

/// The units that one call has taken from one limit. They are settled once at most.
pub(crate) struct Taken {
    limiter: Arc<Limiter>,
    key: Option<KeyBuffer>,
    cost: u64,
    reservation: Reservation,
    settling: Settling,
    is_settled: AtomicBool,
}

/// How the cost of a call is corrected.
enum Correction {
    None,
    GiveBack(u64),
    Charge(Operation),
}

impl Taken {
    pub(crate) fn new(
        limiter: &Arc<Limiter>,
        key: Option<KeyBuffer>,
        cost: u64,
        decision: &Decision,
        settling: Settling,
    ) -> Self {
        let reservation = match limiter.is_queue() {
            true => decision.reservation,
            // The wait for a token is over. What counts is whether the bucket still remembers it.
            false => decision.reservation.without_slots(),
        };
        Self {
            limiter: Arc::clone(limiter),
            key,
            cost,
            reservation,
            settling,
            is_settled: AtomicBool::new(false),
        }
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Makes the cost of the call `actual`, blocking the thread where the store does. Does nothing after the
    /// first time.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) fn settle(&self, actual: u64) -> Result<(), Error> {
        let (key, slot) = (self.key(), self.reservation);
        match self.correction(actual) {
            Correction::None => Ok(()),
            Correction::GiveBack(units) => self.limiter.give_back(key, slot, units),
            Correction::Charge(charge) => self.limiter.charge(key, charge, slot.from_fallback),
        }
    }

    /// As [`Taken::settle`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Taken::settle`].
    pub(crate) async fn settle_async(&self, actual: u64) -> Result<(), Error> {
        let (key, slot) = (self.key(), self.reservation);
        match self.correction(actual) {
            Correction::None => Ok(()),
            Correction::GiveBack(units) => self.limiter.give_back_async(key, slot, units).await,
            Correction::Charge(charge) => {
                let charged = self.limiter.charge_async(key, charge, slot.from_fallback);
                charged.await
            }
        }
    }

    /// As [`Taken::settle`], in the background. A failure is not reported.
    pub(crate) fn settle_detached(&self, actual: u64) {
        let (key, slot) = (self.key(), self.reservation);
        match self.correction(actual) {
            Correction::None => {}
            Correction::GiveBack(units) => self.limiter.give_back_detached(key, slot, units),
            Correction::Charge(charge) => self.limiter.charge_detached(key, charge, slot),
        }
    }

    fn key(&self) -> Option<&str> {
        self.key.as_ref().map(KeyBuffer::as_str)
    }

    /// What makes the cost of the call `actual`. Nothing after the first time.
    fn correction(&self, actual: u64) -> Correction {
        if self.is_settled.swap(true, Ordering::Relaxed) {
            return Correction::None;
        }
        match actual.cmp(&self.cost) {
            cmp::Ordering::Less => Correction::GiveBack(self.cost - actual),
            cmp::Ordering::Equal => Correction::None,
            cmp::Ordering::Greater => Correction::Charge(Operation::Charge {
                units: actual - self.cost,
                max_debt: self.settling.max_debt,
            }),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        match self.settling.on_drop {
            OnDrop::Keep => {}
            OnDrop::Refund => self.settle_detached(0),
        }
    }
}
