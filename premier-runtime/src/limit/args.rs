//! The numbers of limits as an attribute or an entry of a limits file states them, without the
//! algorithm, which may come from the configuration.

use std::time::Duration;

use crate::limit::algo::Algo;
use crate::limit::lease::Lease;
use crate::limit::quota::Limit;

/// The numbers of one or several limits that share an algorithm, a burst, a bucket size and a lease.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LimitArgs {
    /// The quota and the period of each limit.
    pub(crate) rates: Vec<(u64, Duration)>,
    pub(crate) burst: Option<u64>,
    pub(crate) bucket_size: Option<u64>,
    pub(crate) lease: Option<Lease>,
}

impl LimitArgs {
    pub(crate) fn limits(&self, algo: Algo) -> Vec<Limit> {
        self.rates
            .iter()
            .map(|&(quota, period)| {
                let mut limit = Limit::new(algo, quota, period);
                if let Some(tokens) = self.burst {
                    limit = limit.burst(tokens);
                }
                if let Some(units) = self.bucket_size {
                    limit = limit.bucket_size(units);
                }
                if let Some(lease) = self.lease {
                    limit = limit.lease(lease);
                }
                limit
            })
            .collect()
    }
}
