//! The numbers of an attribute, or of an entry in a limits file, before the algorithm is known.

use std::time::Duration;

use crate::limit::algo::Algo;
use crate::limit::quota::Limit;

/// What an attribute, or an entry of a file, says of limits but for their algorithm.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LimitArgs {
    pub(crate) rates: Vec<(u64, Duration)>,
    pub(crate) burst: Option<u64>,
    pub(crate) bucket_size: Option<u64>,
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
                limit
            })
            .collect()
    }
}
