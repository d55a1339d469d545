//! The part of a decision that a caller asks for.

use crate::clock::after;
use crate::limit::decision::Decision;

/// How a decision changes the state, and which calls it admits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Takes the cost if the call is admitted.
    Take,
    /// Changes nothing.
    Look,
    /// As [`Effect::Take`]. A bucket also admits calls whose slot begins within this many nanoseconds.
    Reserve(u64),
    /// As [`Effect::Reserve`], and changes nothing.
    LookAhead(u64),
}

impl Effect {
    /// This effect without a change of the state.
    pub(crate) const fn without_change(self) -> Self {
        match self {
            Self::Take | Self::Look => Self::Look,
            Self::Reserve(longest) | Self::LookAhead(longest) => Self::LookAhead(longest),
        }
    }

    /// Whether an admitted call takes its cost.
    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Take | Self::Reserve(_))
    }

    /// How long a call may wait for its slot in nanoseconds; `None` unless the effect states it.
    pub(crate) const fn longest(self) -> Option<u64> {
        match self {
            Self::Take | Self::Look => None,
            Self::Reserve(longest) | Self::LookAhead(longest) => Some(longest),
        }
    }
}

/// The answer to one call: all of a decision, or a part of it.
///
/// Every algorithm decides in one function, which is generic over this trait. An [`Admission`] saves
/// the divisions for the `remaining` and `reset_after` of a [`Decision`].
pub(crate) trait Answer: Sized {
    /// `delayed`: the call is admitted and has to wait for its slot.
    fn new(allowed: bool, delayed: bool, decision: impl FnOnce() -> Decision) -> Self;

    /// The answer to a denied call by an algorithm that knows the time, in nanoseconds, without the
    /// rest of the decision.
    fn denied(retry_after: impl FnOnce() -> u64, decision: impl FnOnce() -> Decision) -> Self;

    /// Changes the decision, if the answer contains one.
    fn map_decision(self, change: impl FnOnce(Decision) -> Decision) -> Self;
}

impl Answer for Decision {
    #[inline]
    fn new(_: bool, _: bool, decision: impl FnOnce() -> Decision) -> Self {
        decision()
    }

    #[inline]
    fn denied(_: impl FnOnce() -> u64, decision: impl FnOnce() -> Decision) -> Self {
        decision()
    }

    #[inline]
    fn map_decision(self, change: impl FnOnce(Decision) -> Decision) -> Self {
        change(self)
    }
}

/// Whether a call is admitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Admission {
    /// The call may run now.
    Admitted,
    /// The call has taken a slot of a queue, which begins after the delay of the decision.
    ///
    /// Boxed, so that an admission is not as large as a decision: copying it, and the error beside it,
    /// took 30 of the 200 instructions of a call. A delayed call waits in any case.
    Delayed(Box<Decision>),
    /// An equal call is admitted after this many nanoseconds. Not a `Duration`, so that an admission is
    /// returned in two registers.
    Denied(u64),
}

impl Answer for Admission {
    #[inline(always)]
    fn new(allowed: bool, delayed: bool, decision: impl FnOnce() -> Decision) -> Self {
        match (allowed, delayed) {
            (true, false) => Self::Admitted,
            (true, true) => Self::delayed(decision),
            (false, _) => Self::Denied(after(0, decision().retry_after)),
        }
    }

    #[inline]
    fn denied(retry_after: impl FnOnce() -> u64, _: impl FnOnce() -> Decision) -> Self {
        Self::Denied(retry_after())
    }

    #[inline]
    fn map_decision(self, change: impl FnOnce(Decision) -> Decision) -> Self {
        match self {
            Self::Delayed(decision) => Self::Delayed(Box::new(change(*decision))),
            Self::Admitted | Self::Denied(_) => self,
        }
    }
}

// Apart from `Answer::new`, so that an admitted call carries nothing of a decision.
impl Admission {
    #[cold]
    #[inline(never)]
    fn delayed(decision: impl FnOnce() -> Decision) -> Self {
        Self::Delayed(Box::new(decision()))
    }
}
