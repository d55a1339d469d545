//! The arguments of one `#[throttle]`.

use std::time::Duration;

use crate::attributes::into_arg::{
    Algorithm as IntoAlgo, LeaseSize as IntoLease, LengthOfTime as IntoPeriod,
    WholeNumber as IntoUnits,
};
use crate::attributes::spec::Spec;
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::args::LimitArgs;
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::limiter::settling::{OnDrop, Settling};

/// The arguments of one `#[throttle]`.
pub type ThrottleSpec = Spec<ThrottleArgs>;

/// The arguments of one `#[throttle]`.
#[derive(Debug, Default)]
pub struct ThrottleArgs {
    pub(super) algo: Option<Algo>,
    pub(super) limit: LimitArgs,
    pub(super) max_wait: MaxWait,
    pub(super) settling: Settling,
}

impl ThrottleSpec {
    /// `algo = …`, instead of the algorithm of the configuration.
    #[must_use]
    pub fn algo(self, algo: impl IntoAlgo) -> Self {
        self.set(algo.into_algo(), |args, algo| args.algo = Some(algo))
    }

    /// `quota = …, duration = …`: how many units in which time.
    #[must_use]
    pub fn quota(self, quota: impl IntoUnits, period: impl IntoPeriod) -> Self {
        let rate = quota
            .into_units("quota")
            .and_then(|quota| Ok((quota, period.into_period()?)));
        self.set(rate, |args, rate| args.limit.rates.push(rate))
    }

    /// `rate = …`, or one of `limits(…)`.
    #[must_use]
    pub fn rate(self, rate: impl AsRef<str>) -> Self {
        let rate = premier_parse::parse_rate(rate.as_ref()).map_err(Error::config);
        self.set(rate, |args, (quota, nanos)| {
            args.limit.rates.push((quota, Duration::from_nanos(nanos)));
        })
    }

    /// `burst = …`: how many units the bucket holds.
    #[must_use]
    pub fn burst(self, units: impl IntoUnits) -> Self {
        self.set(units.into_units("burst"), |args, units| {
            args.limit.burst = Some(units);
        })
    }

    /// `bucket_size = …`: how many units wait in the queue of a leaky bucket.
    #[must_use]
    pub fn bucket_size(self, units: impl IntoUnits) -> Self {
        self.set(units.into_units("bucket_size"), |args, units| {
            args.limit.bucket_size = Some(units);
        })
    }

    /// `lease = …`: how many units a process takes ahead.
    #[must_use]
    pub fn lease(self, lease: impl IntoLease) -> Self {
        self.set(lease.into_lease(), |args, lease| {
            args.limit.lease = Some(lease);
        })
    }

    /// `wait`: wait for admission without limit.
    #[must_use]
    pub fn wait(self) -> Self {
        self.set(Ok(WaitTime::Unbounded), |args, wait| {
            args.max_wait.time = wait;
        })
    }

    /// `wait = …`: how long to wait for admission.
    #[must_use]
    pub fn wait_at_most(self, longest: impl IntoPeriod) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.max_wait.time = WaitTime::AtMost(longest);
        })
    }

    /// `max_waiting = …`: how many calls may wait.
    #[must_use]
    pub fn max_waiting(self, calls: impl IntoUnits) -> Self {
        self.set(calls.into_units("max_waiting"), |args, calls| {
            args.max_wait.calls = Some(calls);
        })
    }

    /// `max_debt = …`: how many units a key may owe.
    #[must_use]
    pub fn max_debt(self, units: impl IntoUnits) -> Self {
        self.set(units.into_units("max_debt"), |args, units| {
            args.settling.max_debt = Some(units);
        })
    }

    /// `on_drop = "refund"`: calls that are not settled are refunded.
    #[must_use]
    pub fn refund_on_drop(self) -> Self {
        self.set(Ok(OnDrop::Refund), |args, on_drop| {
            args.settling.on_drop = on_drop;
        })
    }
}
