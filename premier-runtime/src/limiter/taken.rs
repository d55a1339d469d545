//! The units of an admitted call, until its actual cost is known.

use std::cmp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::named::Limiter;
use super::settling::{OnDrop, Settling};
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::limit::decision::{Decision, Reservation};
use crate::store::request::Operation;

/// The units that a call has taken from one limiter. They are settled at most once.
pub(crate) struct Taken {
    limiter: Arc<Limiter>,
    key: Option<KeyBuffer>,
    cost: u64,
    reservation: Reservation,
    settling: Settling,
    is_settled: AtomicBool,
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
        let Some(correction) = self.correction(actual) else {
            return Ok(());
        };
        self.limiter
            .correct(self.key(), correction, self.reservation.from_fallback)
    }

    /// As [`Taken::settle`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Taken::settle`].
    pub(crate) async fn settle_async(&self, actual: u64) -> Result<(), Error> {
        let Some(correction) = self.correction(actual) else {
            return Ok(());
        };
        self.limiter
            .correct_async(self.key(), correction, self.reservation.from_fallback)
            .await
    }

    /// As [`Taken::settle`], in the background. A failure is not reported.
    pub(crate) fn settle_detached(&self, actual: u64) {
        if let Some(correction) = self.correction(actual) {
            self.limiter
                .correct_detached(self.key(), correction, self.reservation.from_fallback);
        }
    }

    fn key(&self) -> Option<&str> {
        self.key.as_ref().map(KeyBuffer::as_str)
    }

    /// The operation that makes the cost of the call `actual`, if one is needed; `None` after the first time.
    fn correction(&self, actual: u64) -> Option<Operation> {
        if self.is_settled.swap(true, Ordering::Relaxed) {
            return None;
        }
        match actual.cmp(&self.cost) {
            cmp::Ordering::Less => Some(Operation::Release(self.reservation, self.cost - actual)),
            cmp::Ordering::Equal => None,
            cmp::Ordering::Greater => Some(Operation::Charge {
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
