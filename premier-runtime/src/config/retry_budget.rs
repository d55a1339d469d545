//! A budget that keeps retries from multiplying the load of an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Limits the retries of a process to a share of its first attempts.
///
/// Every first attempt adds the share to a balance, and every retry takes one from it. When the
/// balance is below one, a failed call is not retried and returns its error. With a share of 0.1, a
/// total outage multiplies the traffic by at most 1.1. Clones share the balance.
///
/// The design follows Finagle's [`RetryBudget`], without its minimum of retries per second.
///
/// Defaults: the balance starts at 0 and holds at most 100 retries, so that a long time without
/// failures does not pay for many retries later.
///
/// ```
/// use premier::{Config, MemoryHandler, RetryBudget};
///
/// premier::config(Config::new(MemoryHandler::new()).retry_budget(RetryBudget::new(0.1)))?;
/// # Ok::<(), premier::Error>(())
/// ```
///
/// [`RetryBudget`]: https://twitter.github.io/finagle/guide/Clients.html#retries
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// The share of a first attempt, in millionths of a retry, as are the other fields.
    deposit: u64,
    max_balance: u64,
    balance: Arc<AtomicU64>,
}

const ONE_RETRY: u64 = 1_000_000;

impl RetryBudget {
    /// Creates a budget of `share` retries per first attempt: 0.1 allows one retry per ten first
    /// attempts.
    ///
    /// A share above 1000 counts as 1000; a negative share and `NaN` count as 0.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler, RetryBudget};
    ///
    /// let one_in_five = RetryBudget::new(0.2);
    /// premier::config(Config::new(MemoryHandler::new()).retry_budget(one_in_five))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn new(share: f64) -> Self {
        let share = if share > 0.0 { share.min(1_000.0) } else { 0.0 };
        let deposit = (share * ONE_RETRY as f64).round() as u64;
        Self {
            deposit,
            max_balance: 100 * ONE_RETRY,
            balance: Arc::default(),
        }
    }

    /// Sets the largest balance, in retries. Default: 100.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler, RetryBudget};
    ///
    /// let budget = RetryBudget::new(0.1).at_most(10);
    /// premier::config(Config::new(MemoryHandler::new()).retry_budget(budget))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn at_most(mut self, retries: u32) -> Self {
        self.max_balance = u64::from(retries) * ONE_RETRY;
        self
    }

    /// Adds the share of one first attempt.
    pub(crate) fn deposit(&self) {
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                let more = (balance + self.deposit).min(self.max_balance);
                (more != balance).then_some(more)
            });
    }

    /// Takes one retry from the balance. Returns `false` when the balance is below one.
    pub(crate) fn withdraw(&self) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(ONE_RETRY)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many retries a total outage causes, with up to `max` attempts per call.
    fn outage(budget: &RetryBudget, calls: u32, max: u32) -> u32 {
        let mut retries = 0;
        for _ in 0..calls {
            budget.deposit();
            for _ in 1..max {
                if !budget.withdraw() {
                    break;
                }
                retries += 1;
            }
        }
        retries
    }

    #[test]
    fn at_ten_percent_a_total_outage_grows_by_a_tenth() {
        assert_eq!(outage(&RetryBudget::new(0.1), 10_000, 3), 1_000);
        assert_eq!(outage(&RetryBudget::new(0.5), 10_000, 10), 5_000);
        assert_eq!(outage(&RetryBudget::new(0.0), 10_000, 10), 0);
        assert_eq!(outage(&RetryBudget::new(f64::NAN), 10_000, 10), 0);
    }

    #[test]
    fn the_balance_is_bounded() {
        let budget = RetryBudget::new(0.1).at_most(5);
        for _ in 0..10_000 {
            budget.deposit();
        }
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 5);
    }
}
