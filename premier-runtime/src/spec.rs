//! What one `#[throttle]` says, and how it becomes a bound limit.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::gate::{Gate, Patience};
use crate::limit::{Algo, Terms};
use crate::place::{Place, blame};
use crate::runtime::Runtime;
use crate::values::{IntoAlgo, IntoPeriod, IntoUnits};

/// What an attribute says, as values.
#[derive(Debug)]
pub struct Spec {
    place: Place,
    nth: usize,
    algo: Option<Algo>,
    terms: Terms,
    patience: Patience,
    problem: Option<Error>,
}

impl Spec {
    /// `nth` counts the throttles above this one.
    #[must_use]
    pub fn new(place: Place, nth: usize) -> Self {
        Self {
            place,
            nth,
            algo: None,
            terms: Terms::default(),
            patience: Patience::None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.place = self.place.named(name);
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
        self.terms.rates.extend(quota.zip(period));
        self
    }

    /// `rate = …`, or one of `limits(…)`
    #[must_use]
    pub fn rate(mut self, rate: impl AsRef<str>) -> Self {
        let parsed = premier_parse::parse_rate(rate.as_ref()).map_err(Error::config);
        let rate = note(&mut self.problem, parsed);
        self.terms
            .rates
            .extend(rate.map(|(quota, period)| (quota, Duration::from_nanos(period))));
        self
    }

    /// `burst = …`
    #[must_use]
    pub fn burst(mut self, tokens: impl IntoUnits) -> Self {
        self.terms.burst = note(&mut self.problem, tokens.into_units("burst"));
        self
    }

    /// `bucket_size = …`
    #[must_use]
    pub fn bucket_size(mut self, units: impl IntoUnits) -> Self {
        self.terms.bucket_size = note(&mut self.problem, units.into_units("bucket_size"));
        self
    }

    /// `wait`
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.patience = Patience::Unbounded;
        self
    }

    /// `wait = …`
    #[must_use]
    pub fn wait_at_most(mut self, longest: impl IntoPeriod) -> Self {
        let longest = note(&mut self.problem, longest.into_period());
        self.patience = longest.map_or(Patience::None, Patience::AtMost);
        self
    }

    /// Binds the limit to the process's configuration.
    pub(crate) fn bind(self) -> Result<(Arc<Gate>, Patience), Error> {
        let path = match self.nth {
            0 => self.place.path(),
            // A second throttle of the same function is another limit.
            nth => format!("{}#{}", self.place.path(), nth + 1),
        };
        let bound = match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => {
                let runtime = Runtime::global();
                let algo = self.algo.unwrap_or(runtime.algo());
                Gate::new(runtime, &path, &self.terms.limits(algo))
            }
        };
        match bound {
            Ok(gate) => Ok((gate, self.patience)),
            Err(error) => Err(blame("throttle", &path, error)),
        }
    }
}

pub(crate) fn note<T>(problem: &mut Option<Error>, result: Result<T, Error>) -> Option<T> {
    result
        .map_err(|error| *problem = problem.take().or(Some(error)))
        .ok()
}
