//! The arguments of one `#[circuit_breaker]`.

use std::time::Duration;

use super::rules::{FailureRule, Rules};
use super::window::BucketLength;
use crate::attributes::into_arg::{LengthOfTime, WholeNumber, positive, share};
use crate::attributes::spec::Spec;
use crate::error::Error;

/// The arguments of one `#[circuit_breaker]`.
pub type BreakerSpec = Spec<BreakerArgs>;

/// The arguments of one `#[circuit_breaker]`. `None` is an argument that was not given and whose default
/// depends on others.
#[derive(Debug)]
pub struct BreakerArgs {
    failures: Option<u64>,
    failure_rate: Option<f64>,
    minimum_calls: u64,
    within: Duration,
    slow: Duration,
    slow_rate: Option<f64>,
    open_for: Duration,
    open_for_max: Option<Duration>,
    half_open: Option<u64>,
    has_keys: bool,
}

impl Default for BreakerArgs {
    fn default() -> Self {
        Self {
            failures: None,
            failure_rate: None,
            minimum_calls: 20,
            within: Duration::from_secs(10),
            slow: Duration::from_secs(1),
            slow_rate: None,
            open_for: Duration::from_secs(30),
            open_for_max: None,
            half_open: None,
            has_keys: false,
        }
    }
}

impl BreakerArgs {
    /// Whether there is a circuit for each key.
    pub(super) const fn has_keys(&self) -> bool {
        self.has_keys
    }

    /// Returns the rules that the arguments state.
    ///
    /// # Errors
    /// [`Error::Config`] if two arguments contradict each other.
    pub(super) fn rules(self) -> Result<Rules, Error> {
        let open_for_max = self.open_for_max.unwrap_or(self.open_for);
        if open_for_max < self.open_for {
            return Err(Error::config(
                "open_for_max must be at least as long as open_for",
            ));
        }
        let (failures, probes) = match (self.failures, self.failure_rate) {
            (None, rate) => (FailureRule::Rate(rate.unwrap_or(0.5)), 5),
            (Some(failures), None) => (FailureRule::Count(failures), 1),
            (Some(_), Some(_)) => {
                return Err(Error::config(
                    "failures and failure_rate exclude each other",
                ));
            }
        };
        Ok(Rules {
            failures,
            slow_rate: self.slow_rate,
            minimum_calls: self.minimum_calls,
            within: self.within,
            bucket_length: BucketLength::of(self.within),
            slow: self.slow,
            open_for: self.open_for,
            open_for_max: self.open_for_max,
            probes: self.half_open.unwrap_or(probes),
        })
    }
}

impl BreakerSpec {
    /// `failures = …`: how many failures open the breaker, for any number of calls.
    #[must_use]
    pub fn failures(self, failures: impl WholeNumber) -> Self {
        self.set(positive("failures", failures), |args, failures| {
            args.failures = Some(failures);
        })
    }

    /// `failure_rate = …`: the share of calls that have to fail to open the breaker.
    #[must_use]
    pub fn failure_rate(self, rate: f64) -> Self {
        self.set(share("failure_rate", rate), |args, rate| {
            args.failure_rate = Some(rate);
        })
    }

    /// `minimum_calls = …`: the number of calls below which rates do not open the breaker.
    #[must_use]
    pub fn minimum_calls(self, calls: impl WholeNumber) -> Self {
        self.set(positive("minimum_calls", calls), |args, calls| {
            args.minimum_calls = calls;
        })
    }

    /// `within = …`: how long a call counts.
    #[must_use]
    pub fn within(self, within: impl LengthOfTime) -> Self {
        self.set(within.into_period(), |args, within| args.within = within)
    }

    /// `slow = …`: how long a slow call runs at least.
    #[must_use]
    pub fn slow(self, slow: impl LengthOfTime) -> Self {
        self.set(slow.into_period(), |args, slow| args.slow = slow)
    }

    /// `slow_rate = …`: the share of calls that have to be slow to open the breaker.
    #[must_use]
    pub fn slow_rate(self, rate: f64) -> Self {
        self.set(share("slow_rate", rate), |args, rate| {
            args.slow_rate = Some(rate);
        })
    }

    /// `open_for = …`: how long the breaker stays open.
    #[must_use]
    pub fn open_for(self, open_for: impl LengthOfTime) -> Self {
        self.set(open_for.into_period(), |args, open_for| {
            args.open_for = open_for;
        })
    }

    /// `open_for_max = …`: how long the breaker stays open at most when its probes keep failing.
    #[must_use]
    pub fn open_for_max(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.open_for_max = Some(longest);
        })
    }

    /// `half_open = …`: how many calls go through as probes when the breaker is half open.
    #[must_use]
    pub fn half_open(self, probes: impl WholeNumber) -> Self {
        self.set(positive("half_open", probes), |args, probes| {
            args.half_open = Some(probes);
        })
    }

    /// `key = …` or `keymaker = …`: a circuit for each key.
    #[must_use]
    pub fn by_key(self) -> Self {
        self.set(Ok(true), |args, has_keys| args.has_keys = has_keys)
    }
}
