//! A limit in the form that its algorithm computes with.

use super::gcra::Gcra;
use super::sliding_log::Log;
use super::window::Window;
use super::{fixed_window, leaky_bucket, sliding_log, sliding_window, token_bucket};
use crate::limit::algo::Algo;
use crate::limit::quota::Limit;

/// The form in which an algorithm computes. `T` is the type of the ticks of buckets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
// A tag of its own: in the spare values of a `bool`, finding the algorithm took 5 instructions more.
#[repr(u8)]
pub(crate) enum Rule<T> {
    Gcra(Gcra<T>),
    Log(Log),
    Window(Window),
}

impl Rule<u128> {
    /// The only place that distinguishes the algorithms.
    pub(super) fn new(limit: &Limit) -> Self {
        match limit.algo() {
            Algo::FixedWindow => Self::Window(fixed_window::rule(limit)),
            Algo::LeakyBucket => Self::Gcra(leaky_bucket::rule(limit)),
            Algo::SlidingLog => Self::Log(sliding_log::rule(limit)),
            Algo::SlidingWindow => Self::Window(sliding_window::rule(limit)),
            Algo::TokenBucket => Self::Gcra(token_bucket::rule(limit)),
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
