//! A limit in the form that its algorithm computes with.

use super::gcra::Gcra;
use super::numbers::Numbers;
use super::sliding_log::Log;
use super::window::Window;
use super::{fixed_window, leaky_bucket, sliding_log, sliding_window, token_bucket};
use crate::limit::algo::Algo;

/// The form in which an algorithm computes. `T` is the type of the ticks of buckets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
// An explicit tag: in the niche of a `bool`, finding the algorithm took 5 instructions more.
#[repr(u8)]
pub(crate) enum Rule<T> {
    Gcra(Gcra<T>),
    Log(Log),
    Window(Window),
}

impl Rule<u128> {
    /// The only place that distinguishes the algorithms.
    pub(super) const fn new(algo: Algo, numbers: &Numbers) -> Self {
        match algo {
            Algo::FixedWindow => Self::Window(fixed_window::rule(numbers)),
            Algo::LeakyBucket => Self::Gcra(leaky_bucket::rule(numbers)),
            Algo::SlidingLog => Self::Log(sliding_log::rule(numbers)),
            Algo::SlidingWindow => Self::Window(sliding_window::rule(numbers)),
            Algo::TokenBucket => Self::Gcra(token_bucket::rule(numbers)),
        }
    }

    /// This rule for the packed representation, if its numbers fit.
    pub(crate) fn narrow(&self) -> Option<Rule<u64>> {
        Some(match self {
            Self::Gcra(gcra) => Rule::Gcra(gcra.narrow()?),
            Self::Log(log) => Rule::Log(*log),
            Self::Window(window) => Rule::Window(*window),
        })
    }
}
