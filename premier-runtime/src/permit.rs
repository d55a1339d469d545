//! What an admitted call has taken, to give it back or to correct it afterwards.

use std::cmp;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
/// the call has cost corrects them with [`Permit::settle`]. Whichever is called first counts: a permit is
/// settled once at most, also by threads that share it.
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
    is_settled: AtomicBool,
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
            is_settled: AtomicBool::new(false),
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

    /// Gives the units back, as far as the limit still counts them. The same as settling for a cost of 0.
    ///
    /// # Errors
    /// As for [`Permit::settle`].
    pub fn refund(&self) -> Result<(), Error> {
        self.settle(0)
    }

    /// As [`Permit::refund`] for async callers. Dropping the future may leave the units taken.
    ///
    /// # Errors
    /// As for [`Permit::settle`].
    pub async fn refund_async(&self) -> Result<(), Error> {
        self.settle_async(0).await
    }

    /// Corrects the cost of the call to `actual` units, for callers that learn it afterwards. Does nothing if
    /// the permit has been settled or refunded before.
    ///
    /// If the call has cost less than was taken, the rest is given back as by [`Permit::refund`]. If it
    /// has cost more, the difference is charged, whether or not the limit has room for it. Later calls wait or
    /// are denied until this debt is paid off:
    ///
    /// | algorithm | the debt is paid off |
    /// | --- | --- |
    /// | token and leaky bucket | with one unit each time the bucket would gain one |
    /// | fixed and sliding window | by the windows that follow: the units above the quota open the next one as already used, up to its quota, and so on |
    /// | sliding log | when the units leave the log, one period later |
    ///
    /// A key owes at most one capacity of the limit; what goes beyond is not charged.
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
    /// [`Error::Backend`] when the store cannot be reached. The cost then stays as it was, or has been
    /// corrected if only the answer was lost. The permit counts as settled in any case.
    pub fn settle(&self, actual: u64) -> Result<(), Error> {
        let (key, slot) = (Some(self.key.as_str()), self.decision.reservation);
        match self.correction(actual) {
            Correction::None => Ok(()),
            Correction::GiveBack(units) => self.limiter.give_back(key, slot, units),
            Correction::Charge(charge) => self.limiter.charge(key, charge, slot.from_fallback),
        }
    }

    /// As [`Permit::settle`] for async callers. Dropping the future may leave the cost as it was.
    ///
    /// # Errors
    /// As for [`Permit::settle`].
    pub async fn settle_async(&self, actual: u64) -> Result<(), Error> {
        let (key, slot) = (Some(self.key.as_str()), self.decision.reservation);
        match self.correction(actual) {
            Correction::None => Ok(()),
            Correction::GiveBack(units) => self.limiter.give_back_async(key, slot, units).await,
            Correction::Charge(charge) => {
                let charged = self.limiter.charge_async(key, charge, slot.from_fallback);
                charged.await
            }
        }
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
                max_debt: None,
            }),
        }
    }
}

/// How the cost of a call is corrected.
enum Correction {
    None,
    GiveBack(u64),
    Charge(Operation),
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
