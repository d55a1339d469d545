//! A budget that keeps retries from multiplying an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds the retries of a process to a share of its first calls.
///
/// Each first call deposits the share, each retry withdraws one; without a whole one in the
/// account there is no retry, and the error is returned as it is. At 10% a total outage multiplies
/// traffic by at most 1.1. After Finagle's `RetryBudget`, without its minimum of retries a second:
/// what is not deposited is not spent. Clones share the account.
///
/// Defaults: the account starts empty and holds at most 100 retries, so that a quiet night does
/// not pay for a storm.
///
/// ```
/// use premier::{Config, MemoryHandler, RetryBudget};
///
/// premier::config(Config::new(MemoryHandler::new()).retry_budget(RetryBudget::new(0.1)))?;
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// In millionths of a retry.
    deposit: u64,
    most: u64,
    account: Arc<AtomicU64>,
}

const RETRY: u64 = 1_000_000;

impl RetryBudget {
    /// Retries for this share of first calls: 0.1 is one in ten. Above 1000 it counts as 1000,
    /// below 0 and `NaN` as 0.
    #[must_use]
    pub fn new(share: f64) -> Self {
        let share = if share > 0.0 { share.min(1_000.0) } else { 0.0 };
        let deposit = (share * RETRY as f64).round() as u64;
        Self {
            deposit,
            most: 100 * RETRY,
            account: Arc::default(),
        }
    }

    /// The most retries that can be saved up.
    #[must_use]
    pub fn at_most(mut self, retries: u32) -> Self {
        self.most = u64::from(retries) * RETRY;
        self
    }

    pub(crate) fn deposit(&self) {
        let _ = self
            .account
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                let more = (balance + self.deposit).min(self.most);
                (more != balance).then_some(more)
            });
    }

    pub(crate) fn withdraw(&self) -> bool {
        self.account
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(RETRY)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls and retries of a total outage, with up to `max` attempts a call.
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
    fn what_is_saved_up_is_bounded() {
        let budget = RetryBudget::new(0.1).at_most(5);
        for _ in 0..10_000 {
            budget.deposit();
        }
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 5);
    }
}
