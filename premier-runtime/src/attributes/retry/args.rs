//! The arguments of one `#[retry]`.

use std::time::Duration;

use super::backoff::{Backoff, Jitter, Strategy};
use crate::attributes::into_arg::{LengthOfTime, WholeNumber};
use crate::attributes::spec::Spec;
use crate::error::Error;

/// The arguments of one `#[retry]`.
pub type RetrySpec = Spec<RetryArgs>;

/// The arguments of one `#[retry]`.
#[derive(Debug)]
pub struct RetryArgs {
    pub(super) backoff: Backoff,
    /// The jitter of the strategy if `None`.
    pub(super) jitter: Option<Jitter>,
    /// How many attempts one call makes at most.
    pub(super) max: u32,
    /// How long after the first attempt the last one may begin.
    pub(super) max_elapsed: Option<Duration>,
}

impl Default for RetryArgs {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            jitter: None,
            max: 3,
            max_elapsed: None,
        }
    }
}

impl RetrySpec {
    /// `strategy = "…"`: how delays grow.
    #[must_use]
    pub fn strategy(self, strategy: Strategy) -> Self {
        self.set(Ok(strategy), |args, strategy| {
            args.backoff.strategy = strategy;
        })
    }

    /// `strategy = [1, 2, 4]`: the delays themselves.
    #[must_use]
    pub fn delays<const N: usize>(self, delays: [Result<Duration, Error>; N]) -> Self {
        let delays: Result<_, Error> = delays.into_iter().collect();
        self.set(delays.map(Strategy::Delays), |args, strategy| {
            args.backoff.strategy = strategy;
        })
    }

    /// `strategy = function`: computes the delay before a retry; the first retry has number 0.
    #[must_use]
    pub fn function(self, function: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        self.strategy(Strategy::Function(Box::new(function)))
    }

    /// `max = …`: how many attempts one call makes at most.
    #[must_use]
    pub fn max(self, attempts: impl WholeNumber) -> Self {
        let attempts = attempts.into_units("max").and_then(|max| {
            u32::try_from(max)
                .ok()
                .filter(|max| *max > 0)
                .ok_or_else(|| {
                    Error::config(format!(
                        "max must be from 1 to 4,294,967,295, not {max}: it counts the first attempt"
                    ))
                })
        });
        self.set(attempts, |args, max| args.max = max)
    }

    /// `base = …`: the delay that strategies multiply.
    #[must_use]
    pub fn base(self, base: impl LengthOfTime) -> Self {
        self.set(base.into_period(), |args, base| args.backoff.base = base)
    }

    /// `factor = …`: by how much exponential delays grow.
    #[must_use]
    pub fn factor(self, factor: impl Into<f64>) -> Self {
        let factor = factor.into();
        let factor = if factor >= 1.0 && factor.is_finite() {
            Ok(factor)
        } else {
            Err(Error::config(format!(
                "factor must be a number of at least 1, not {factor}: delays do not shrink"
            )))
        };
        self.set(factor, |args, factor| args.backoff.factor = factor)
    }

    /// `max_delay = …`: the longest delay.
    #[must_use]
    pub fn max_delay(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.backoff.max_delay = longest;
        })
    }

    /// `max_elapsed = …`: how long after the first attempt the last one may begin.
    #[must_use]
    pub fn max_elapsed(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| {
            args.max_elapsed = Some(longest);
        })
    }

    /// `jitter = …`: how delays are randomised.
    #[must_use]
    pub fn jitter(self, jitter: impl AsRef<str>) -> Self {
        self.set(jitter.as_ref().parse(), |args, jitter| {
            args.jitter = Some(jitter);
        })
    }
}

/// Functions that compute the delay before a retry: all that are `Fn(u32) -> Duration + Send + Sync +
/// 'static`.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is not a strategy",
    label = "is not a function `u32 -> Duration`",
    note = "write a name as in \"expo\", a list of delays as in `[1, 2, 4]`, or a function from the number of the retry to a `std::time::Duration`"
)]
pub trait DelayFunction {
    /// Converts the function.
    fn into_strategy(self) -> Strategy;
}

#[diagnostic::do_not_recommend]
impl<F: Fn(u32) -> Duration + Send + Sync + 'static> DelayFunction for F {
    fn into_strategy(self) -> Strategy {
        Strategy::Function(Box::new(self))
    }
}
