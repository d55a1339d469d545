//! One operation on one key, as a store carries it out.

use std::future::Future;
use std::pin::Pin;

use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::full::Key;
use crate::limit::decision::{Decision, Reservation};

/// A boxed future, as the async half of a [`Handler`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One operation on one key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Whose state.
    pub key: Key<'a>,
    /// The limits that decide, as one: all or nothing.
    pub plans: &'a [Plan],
    /// What is to be done.
    pub operation: Operation,
}

/// What is to be done with the state of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Decide about this many units and take them if they are admitted.
    Take(u64),
    /// Decide about this many units and take nothing.
    Peek(u64),
    /// Forget the key.
    Reset,
    /// Give this many units back.
    Refund(u64),
    /// Give back so many units that a caller was given and no longer wants, as far as they are
    /// still there to be given back.
    Release(Reservation, u64),
}

impl Request<'_> {
    /// Carries the operation out on `states`, one for each of [`Request::plans`], at `now`
    /// (nanoseconds of a clock that does not step back).
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`], with nothing changed.
    pub fn apply(
        &self,
        states: &mut [crate::algorithms::State],
        now: u64,
    ) -> Result<Decision, Error> {
        use crate::algorithms::{Effect, State, take_all};

        let each = |states: &mut [State], change: &dyn Fn(usize, &mut State, &Plan)| {
            for (index, (state, plan)) in states.iter_mut().zip(self.plans).enumerate() {
                change(index, state, plan);
            }
            Ok(take_all(states, self.plans, now, 0, Effect::Look))
        };
        match self.operation {
            Operation::Take(cost) => {
                self.check_cost(cost)?;
                Ok(take_all(states, self.plans, now, cost, Effect::Take))
            }
            Operation::Peek(cost) => {
                self.check_cost(cost)?;
                Ok(take_all(states, self.plans, now, cost, Effect::Look))
            }
            Operation::Reset => each(states, &|_, state, _| *state = State::default()),
            Operation::Refund(units) => {
                each(states, &|_, state, plan| state.refund(plan, now, units))
            }
            Operation::Release(slot, units) => each(states, &|index, state, plan| {
                state.release(plan, now, &slot, index, units);
            }),
        }
    }

    /// A cost that no limit of the request could ever admit is an error, not a denial.
    pub(crate) fn check_cost(&self, cost: u64) -> Result<(), Error> {
        match self.plans.iter().map(Plan::capacity).min() {
            Some(capacity) if cost > capacity => Err(Error::CostExceedsCapacity {
                function: "".into(),
                key: None,
                cost,
                capacity,
            }),
            _ => Ok(()),
        }
    }
}
