//! The states of one key in the slab of a shard.

use std::slice;

use crate::algorithms::{Answer, Rule, State};

/// The states of one key, one for each limit.
#[derive(Debug)]
pub(super) enum States {
    One(State),
    Many(Box<[State]>),
}

impl Default for States {
    fn default() -> Self {
        Self::One(State::default())
    }
}

impl States {
    pub(super) fn new(count: usize) -> Self {
        match count {
            1 => Self::default(),
            count => Self::Many(vec![State::default(); count].into()),
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [State] {
        match self {
            Self::One(state) => slice::from_mut(state),
            Self::Many(states) => states,
        }
    }

    /// Returns the states of the first `count` limits, adding unused states if there are too few.
    pub(super) fn sized(&mut self, count: usize) -> &mut [State] {
        if self.as_mut_slice().len() < count {
            let mut states = self.as_mut_slice().to_vec();
            states.resize(count, State::default());
            *self = Self::Many(states.into());
        }
        &mut self.as_mut_slice()[..count]
    }

    /// Calls [`State::try_take`] if there is a single limit, and stores in the decision when the cost
    /// was taken.
    #[inline]
    pub(super) fn try_take<A: Answer>(
        &mut self,
        rule: &Rule<u64>,
        now: impl FnOnce() -> u64,
        cost: u64,
    ) -> Option<A> {
        match self {
            Self::One(state) => {
                let now = now();
                let answer: A = state.try_take(rule, now, cost)?;
                Some(answer.map_decision(|decision| match decision.allowed {
                    true => decision.taken_at(now),
                    false => decision,
                }))
            }
            Self::Many(_) => None,
        }
    }

    pub(super) fn is_idle(&self, longest: u64, now: u64) -> bool {
        let states = match self {
            Self::One(state) => slice::from_ref(state),
            Self::Many(states) => states,
        };
        states.iter().all(|state| state.is_idle(longest, now))
    }
}
