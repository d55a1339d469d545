//! Deciding about calls by hand.

use std::fmt::Display;
use std::sync::Arc;

use super::Throttle;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::subject::{Subject, with_subject_of};
use crate::limit::decision::Decision;
use crate::limiter::acquire::{acquire, acquire_async};
use crate::limiter::call::Call;
use crate::limiter::named::Limiter;
use crate::limiter::taken::Taken;
use crate::permit::Permit;
use crate::store::request::Operation;

impl Throttle {
    /// Decides about a call, and takes its cost if it is admitted. A denial is a [`Decision`], not an error. On
    /// a leaky bucket the caller has to wait for [`Decision::delay`] itself.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`], [`Error::TooManyKeys`], [`Error::Backend`],
    /// [`Error::Config`].
    pub fn check<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let limiter = self.limiter()?;
        with_subject_of(key, |key| {
            let decided = limiter.take(Some(&key), self.cost);
            limiter.recorded(Some(&key), decided, |decision| decision.allowed)
        })
    }

    /// As [`Throttle::check`] for async callers.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub async fn check_async<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let (limiter, key) = (self.limiter()?, key.to_string());
        let decided = limiter.take_async(Some(&key), self.cost).await;
        limiter.recorded(Some(&Subject::Text(&key)), decided, |decision| {
            decision.allowed
        })
    }

    /// Takes the cost of a call. Waits for the slot of a leaky bucket, and otherwise up to
    /// [`Throttle::wait_at_most`] or [`Throttle::wait`]. The [`Permit`] may be dropped: the units stay taken.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`] or [`Error::BucketFull`] when not admitted, and those of
    /// [`Throttle::check`].
    pub fn acquire<K: Display + ?Sized>(&self, key: &K) -> Result<Permit, Error> {
        let limiter = self.limiter()?;
        let key = KeyBuffer::format(key);
        let decision = acquire(self.call(limiter, &key), None)?;
        Ok(self.permit(limiter, key, decision))
    }

    /// As [`Throttle::acquire`] for async callers. Dropping the future takes nothing.
    ///
    /// # Errors
    /// As for [`Throttle::acquire`].
    pub async fn acquire_async<K: Display + ?Sized>(&self, key: &K) -> Result<Permit, Error> {
        let limiter = self.limiter()?;
        let key = KeyBuffer::format(key);
        let decision = acquire_async(self.call(limiter, &key), None).await?;
        Ok(self.permit(limiter, key, decision))
    }

    /// Decides as [`Throttle::check`] does and takes nothing.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub fn peek<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let key = KeyBuffer::format(key);
        let limiter = self.limiter()?;
        limiter.handle(Some(key.as_str()), Operation::Peek(self.cost))
    }

    /// As [`Throttle::peek`] for async callers.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub async fn peek_async<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let key = KeyBuffer::format(key);
        let limiter = self.limiter()?;
        let operation = Operation::Peek(self.cost);
        limiter.handle_async(Some(key.as_str()), operation).await
    }

    /// Removes the state of a key: its next call finds an unused limit.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub fn reset<K: Display + ?Sized>(&self, key: &K) -> Result<(), Error> {
        let (limiter, key) = (self.limiter()?, KeyBuffer::format(key));
        limiter
            .handle(Some(key.as_str()), Operation::Reset)
            .map(drop)?;
        limiter.forgotten(Some(key.as_str()));
        Ok(())
    }

    /// As [`Throttle::reset`] for async callers.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub async fn reset_async<K: Display + ?Sized>(&self, key: &K) -> Result<(), Error> {
        let (limiter, key) = (self.limiter()?, KeyBuffer::format(key));
        let key = Some(key.as_str());
        limiter
            .handle_async(key, Operation::Reset)
            .await
            .map(drop)?;
        limiter.forgotten(key);
        Ok(())
    }

    /// Refunds `units`, at most as many as are taken. [`Permit::refund`] refunds the units of one call.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub fn refund<K: Display + ?Sized>(&self, key: &K, units: u64) -> Result<(), Error> {
        let (limiter, key) = (self.limiter()?, KeyBuffer::format(key));
        limiter
            .handle(Some(key.as_str()), Operation::Refund(units))
            .map(drop)?;
        limiter.refunded(Some(key.as_str()), units);
        Ok(())
    }

    /// As [`Throttle::refund`] for async callers.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub async fn refund_async<K: Display + ?Sized>(
        &self,
        key: &K,
        units: u64,
    ) -> Result<(), Error> {
        let (limiter, key) = (self.limiter()?, KeyBuffer::format(key));
        let key = Some(key.as_str());
        limiter
            .handle_async(key, Operation::Refund(units))
            .await
            .map(drop)?;
        limiter.refunded(key, units);
        Ok(())
    }

    fn call<'a>(&self, limiter: &'a Limiter, key: &'a KeyBuffer) -> Call<'a> {
        Call {
            limiter,
            key: Some(key.as_str()),
            cost: self.cost,
            max_wait: self.max_wait,
        }
    }

    fn permit(&self, limiter: &Arc<Limiter>, key: KeyBuffer, decision: Decision) -> Permit {
        let taken = Taken::new(limiter, Some(key), self.cost, &decision, self.settling);
        Permit::new(taken, decision)
    }
}
