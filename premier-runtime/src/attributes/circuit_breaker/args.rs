//! The arguments of one `#[circuit_breaker]`.

use std::time::Duration;

use crate::attributes::into_arg::{LengthOfTime, WholeNumber, positive};
use crate::attributes::spec::Spec;

/// The arguments of one `#[circuit_breaker]`.
pub type BreakerSpec = Spec<BreakerConfig>;

/// The arguments of one `#[circuit_breaker]`.
#[derive(Debug)]
pub struct BreakerConfig {
    pub(super) failures: u64,
    pub(super) within: Duration,
    pub(super) open_for: Duration,
    pub(super) probes: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            within: Duration::from_secs(10),
            open_for: Duration::from_secs(30),
            probes: 1,
        }
    }
}

impl BreakerSpec {
    /// `failures = …`: how many failures open the breaker.
    #[must_use]
    pub fn failures(self, failures: impl WholeNumber) -> Self {
        self.set(positive("failures", failures), |config, failures| {
            config.failures = failures;
        })
    }

    /// `half_open = …`: how many calls go through as probes when the breaker is half open.
    #[must_use]
    pub fn half_open(self, probes: impl WholeNumber) -> Self {
        self.set(positive("half_open", probes), |config, probes| {
            config.probes = probes;
        })
    }

    /// `within = …`: how long a failure counts.
    #[must_use]
    pub fn within(self, within: impl LengthOfTime) -> Self {
        self.set(within.into_period(), |config, within| {
            config.within = within;
        })
    }

    /// `open_for = …`: how long the breaker stays open.
    #[must_use]
    pub fn open_for(self, open_for: impl LengthOfTime) -> Self {
        self.set(open_for.into_period(), |config, open_for| {
            config.open_for = open_for;
        })
    }
}
