//! The units of an admitted call, to refund them or to correct them afterwards.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limiter::taken::Taken;

/// The units that an admitted call has taken, returned by
/// [`Throttle::acquire`](crate::Throttle::acquire).
///
/// Dropping a permit does nothing: the units stay taken, as the units of any admitted call, unless
/// [`Throttle::on_drop`](crate::Throttle::on_drop) says otherwise. A caller that does not use its units refunds
/// them with [`Permit::refund`]. A caller that learns the cost of the call only afterwards corrects it with
/// [`Permit::settle`]. Whichever is called first counts: a permit is settled at most once, also by threads that
/// share it.
///
/// Units are refunded only while the limit still counts the units of this permit, so that none are taken from another
/// caller:
///
/// | algorithm | refunds units |
/// | --- | --- |
/// | fixed and sliding window | until the window of the call has ended |
/// | sliding log | for one period, unless calls of more than 128 later instants were admitted |
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
///
/// # Streams
/// A permit borrows nothing and can be sent, so a stream can carry it to its end, where the cost of the call is
/// known. A stream that is dropped earlier leaves the estimate taken, or, with
/// [`OnDrop::Refund`](crate::OnDrop::Refund), nothing.
///
/// ```
/// use premier::{Limit, Permit, Throttle};
/// use std::time::Duration;
///
/// /// The words of an answer, which settles their cost.
/// struct Answer {
///     words: std::vec::IntoIter<&'static str>,
///     tokens: u64,
///     permit: Permit,
/// }
///
/// // As a `Stream`, `poll_next` does the same.
/// impl Iterator for Answer {
///     type Item = &'static str;
///
///     fn next(&mut self) -> Option<&'static str> {
///         let word = self.words.next();
///         match word {
///             Some(_) => self.tokens += 1,
///             // An error is for the log: the answer is complete.
///             None => drop(self.permit.settle(self.tokens)),
///         }
///         word
///     }
/// }
///
/// let tokens = Throttle::new("answers", Limit::token_bucket(100, Duration::from_secs(3_600)));
/// let permit = tokens.cost(50).acquire("alice")?;
/// let words = vec!["four", "words", "were", "enough"].into_iter();
/// let answer = Answer { words, tokens: 0, permit };
/// assert_eq!(answer.count(), 4);
/// assert_eq!(tokens.peek("alice")?.remaining, 96);
/// # Ok::<(), premier::Error>(())
/// ```
pub struct Permit {
    taken: Taken,
    decision: Decision,
}

impl Permit {
    pub(crate) const fn new(taken: Taken, decision: Decision) -> Self {
        Self { taken, decision }
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

    /// Refunds the units, as far as the limit still counts them. Equivalent to settling for a cost of 0.
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

    /// Corrects the cost of the call to `actual` units, for callers that learn the cost afterwards. Does nothing if
    /// the permit has been settled or refunded before.
    ///
    /// If the call has cost less than was taken, the rest is refunded as by [`Permit::refund`]. If it has cost
    /// more, the difference is charged, whether or not the limit has room for it. Later calls wait or are denied
    /// until this debt is paid off:
    ///
    /// | algorithm | the debt is paid off |
    /// | --- | --- |
    /// | token and leaky bucket | with one unit each time the bucket would gain one |
    /// | fixed and sliding window | by the windows that follow: the units above the quota open the next one as already used, up to its quota, and so on |
    /// | sliding log | when the units leave the log, one period later |
    ///
    /// A key owes at most one capacity of the limit, or as [`Throttle::max_debt`](crate::Throttle::max_debt) sets
    /// it; units beyond that are not charged.
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
        self.taken.settle(actual)
    }

    /// As [`Permit::settle`] for async callers. Dropping the future may leave the cost as it was.
    ///
    /// # Errors
    /// As for [`Permit::settle`].
    pub async fn settle_async(&self, actual: u64) -> Result<(), Error> {
        self.taken.settle_async(actual).await
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permit")
            .field("name", self.taken.limiter().name())
            .field("cost", &self.taken.cost())
            .field("remaining", &self.remaining())
            .field("waited", &self.waited())
            .finish_non_exhaustive()
    }
}
