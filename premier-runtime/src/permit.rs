//! What an admitted call has taken, to give it back or to correct it afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::limit::decision::Decision;
use crate::limiter::named::Limiter;
use crate::store::request::Operation;

/// The units that an admitted call has taken, returned by
/// [`Throttle::acquire`](crate::Throttle::acquire).
///
/// Dropping a permit does nothing: the units stay taken, as those of any admitted call. A caller that
/// does not use them gives them back with [`Permit::refund`], and one that learns only afterwards what
/// the call has cost corrects them with [`Permit::settle`]. Both consume the permit, so that units go
/// back once at most.
///
/// Units go back only as far as the limit still counts those of this permit, so that none are taken from
/// another caller:
///
/// | algorithm | gives units back |
/// | --- | --- |
/// | fixed and sliding window | until the window of the call has ended |
/// | sliding log | until a later call is admitted |
/// | token bucket | until the bucket would have been full again |
/// | leaky bucket | while the slot of the call is the last of the queue |
///
/// ```
/// use premier::{Limit, Throttle};
/// use std::time::Duration;
///
/// let exports = Throttle::new("exports", Limit::fixed_window(10, Duration::from_secs(60)));
/// let permit = exports.cost(4).acquire("alice")?;
/// assert_eq!((permit.limit(), permit.remaining()), (10, 6));
///
/// // There was nothing to export.
/// permit.refund()?;
/// assert_eq!(exports.peek("alice")?.remaining, 10);
/// # Ok::<(), premier::Error>(())
/// ```
pub struct Permit {
    limiter: Arc<Limiter>,
    key: KeyBuffer,
    cost: u64,
    decision: Decision,
}

impl Permit {
    pub(crate) fn new(
        limiter: &Arc<Limiter>,
        key: KeyBuffer,
        cost: u64,
        mut decision: Decision,
    ) -> Self {
        if !limiter.is_queue() {
            // The wait for a token is over. What counts is whether the bucket still remembers it.
            decision.reservation = decision.reservation.without_slots();
        }
        Self {
            limiter: Arc::clone(limiter),
            key,
            cost,
            decision,
        }
    }

    /// Returns the capacity of the limit in units. Of several limits, that of the tightest.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.decision.limit
    }

    /// Returns how many units could still be taken when the store decided, after this call.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.decision.remaining
    }

    /// Returns how long it takes from the decision of the store until the key is as if it had never
    /// been used, if no other call takes units until then.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.decision.reset_after
    }

    /// Returns how long the call has waited to be admitted; zero if it was admitted at once.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let paced = Throttle::new("paced", Limit::leaky_bucket(100, Duration::from_secs(1)));
    /// assert_eq!(paced.acquire("alice")?.waited(), Duration::ZERO);
    /// assert!(paced.acquire("alice")?.waited() > Duration::from_millis(5));
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.decision.delay
    }

    /// Gives the units back, as far as the limit still counts them.
    ///
    /// # Errors
    /// [`Error::Backend`] when the store cannot be reached; the units then stay taken.
    pub fn refund(self) -> Result<(), Error> {
        self.give_back(self.cost)
    }

    /// As [`Permit::refund`] for async callers. Dropping the future may leave the units taken.
    ///
    /// # Errors
    /// As for [`Permit::refund`].
    pub async fn refund_async(self) -> Result<(), Error> {
        self.give_back_async(self.cost).await
    }

    /// Corrects the cost of the call to `actual` units, for callers that learn it afterwards.
    ///
    /// If the call has cost less than was taken, the rest is given back as by [`Permit::refund`]. If it
    /// has cost more, the difference is charged, without waiting:
    ///
    /// - a bucket goes into debt, so that later calls wait or are denied until it is paid off;
    /// - a window charges as much as it has room for.
    ///
    /// At most the capacity of the limit is charged in addition, which is the most that one call can
    /// cost.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// // 10,000 tokens of a language model in a minute.
    /// let tokens = Throttle::new("tokens", Limit::token_bucket(10_000, Duration::from_secs(60)));
    ///
    /// let estimated = 2_000;
    /// let permit = tokens.cost(estimated).acquire("alice")?;
    /// let used = 500;
    /// permit.settle(used)?;
    /// assert!(tokens.cost(9_500).peek("alice")?.allowed);
    /// # Ok::<(), premier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Backend`] when the store cannot be reached; what was taken then stays taken.
    pub fn settle(self, actual: u64) -> Result<(), Error> {
        if actual <= self.cost {
            return self.give_back(self.cost - actual);
        }
        let key = Some(self.key.as_str());
        let extra = self.chargeable(actual - self.cost);
        let decision = self.limiter.handle(key, charge(extra))?;
        if let Some(rest) = what_has_room(&decision) {
            let take = Operation::Take(rest.min(extra));
            self.limiter.handle(key, take).map(drop)?;
        }
        Ok(())
    }

    /// As [`Permit::settle`] for async callers. Dropping the future may leave the cost as it was.
    ///
    /// # Errors
    /// As for [`Permit::settle`].
    pub async fn settle_async(self, actual: u64) -> Result<(), Error> {
        if actual <= self.cost {
            return self.give_back_async(self.cost - actual).await;
        }
        let key = Some(self.key.as_str());
        let extra = self.chargeable(actual - self.cost);
        let decision = self.limiter.handle_async(key, charge(extra)).await?;
        if let Some(rest) = what_has_room(&decision) {
            let take = Operation::Take(rest.min(extra));
            self.limiter.handle_async(key, take).await.map(drop)?;
        }
        Ok(())
    }

    fn give_back(&self, units: u64) -> Result<(), Error> {
        let (key, slot) = (Some(self.key.as_str()), self.decision.reservation);
        match units {
            0 => Ok(()),
            _ => self.limiter.give_back(key, slot, units),
        }
    }

    async fn give_back_async(&self, units: u64) -> Result<(), Error> {
        let (key, slot) = (Some(self.key.as_str()), self.decision.reservation);
        match units {
            0 => Ok(()),
            _ => self.limiter.give_back_async(key, slot, units).await,
        }
    }

    /// The part of `units` that one operation can charge.
    fn chargeable(&self, units: u64) -> u64 {
        let plans = self.limiter.plans();
        let capacity = plans.iter().map(Plan::capacity).min();
        units.min(capacity.unwrap_or_default())
    }
}

/// Takes units that were used already: from a bucket also those that it does not have yet.
const fn charge(cost: u64) -> Operation {
    Operation::Reserve {
        cost,
        longest: Duration::MAX,
    }
}

/// The units that can be charged after a limit had no room for all of them.
fn what_has_room(decision: &Decision) -> Option<u64> {
    (!decision.allowed && decision.remaining > 0).then_some(decision.remaining)
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permit")
            .field("name", self.limiter.name())
            .field("cost", &self.cost)
            .field("remaining", &self.remaining())
            .field("waited", &self.waited())
            .finish_non_exhaustive()
    }
}
