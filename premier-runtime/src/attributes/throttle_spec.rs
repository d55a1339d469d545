//! What one `#[throttle]` says, and how it becomes a bound limit.

use std::sync::Arc;
use std::time::Duration;

use crate::attributes::call_site::{CallSite, blame};
use crate::attributes::into_arg::{IntoAlgo, IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::args::LimitArgs;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::overrides;

/// What an attribute says, as values.
#[derive(Debug)]
pub struct ThrottleSpec {
    call_site: CallSite,
    index: usize,
    algo: Option<Algo>,
    args: LimitArgs,
    max_wait: MaxWait,
    problem: Option<Error>,
}

impl ThrottleSpec {
    /// `index` counts the throttles above this one.
    #[must_use]
    pub fn new(call_site: CallSite, index: usize) -> Self {
        Self {
            call_site,
            index,
            algo: None,
            args: LimitArgs::default(),
            max_wait: MaxWait::None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `algo = …`
    #[must_use]
    pub fn algo(mut self, algo: impl IntoAlgo) -> Self {
        self.algo = note(&mut self.problem, algo.into_algo());
        self
    }

    /// `quota = …, duration = …`
    #[must_use]
    pub fn quota(mut self, quota: impl IntoUnits, period: impl IntoPeriod) -> Self {
        let quota = note(&mut self.problem, quota.into_units("quota"));
        let period = note(&mut self.problem, period.into_period());
        self.args.rates.extend(quota.zip(period));
        self
    }

    /// `rate = …`, or one of `limits(…)`
    #[must_use]
    pub fn rate(mut self, rate: impl AsRef<str>) -> Self {
        let parsed = premier_parse::parse_rate(rate.as_ref()).map_err(Error::config);
        let rate = note(&mut self.problem, parsed);
        self.args
            .rates
            .extend(rate.map(|(quota, period)| (quota, Duration::from_nanos(period))));
        self
    }

    /// `burst = …`
    #[must_use]
    pub fn burst(mut self, tokens: impl IntoUnits) -> Self {
        self.args.burst = note(&mut self.problem, tokens.into_units("burst"));
        self
    }

    /// `bucket_size = …`
    #[must_use]
    pub fn bucket_size(mut self, units: impl IntoUnits) -> Self {
        self.args.bucket_size = note(&mut self.problem, units.into_units("bucket_size"));
        self
    }

    /// `wait`
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.max_wait = MaxWait::Unbounded;
        self
    }

    /// `wait = …`
    #[must_use]
    pub fn wait_at_most(mut self, longest: impl IntoPeriod) -> Self {
        let longest = note(&mut self.problem, longest.into_period());
        self.max_wait = longest.map_or(MaxWait::None, MaxWait::AtMost);
        self
    }

    /// Binds the limit to the process's configuration.
    pub(crate) fn bind(self) -> Result<(Arc<Limiter>, MaxWait), Error> {
        let path = match self.index {
            0 => self.call_site.path(),
            // A second throttle of the same function is another limit.
            index => format!("{}#{}", self.call_site.path(), index + 1),
        };
        let bound = match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => {
                let runtime = Runtime::global();
                let algo = self.algo.unwrap_or(runtime.algo());
                overrides::bind(runtime, &path, &self.args.limits(algo))
            }
        };
        match bound {
            Ok(limiter) => Ok((limiter, self.max_wait)),
            Err(error) => Err(blame("throttle", &path, error)),
        }
    }
}
