//! Requests to a store: one operation on one key.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::algorithms::{Effect, Plan, State, decode, encode, take_all};
use crate::clock::after;
use crate::error::Error;
use crate::key::full::Key;
use crate::limit::decision::{Decision, Reservation};

/// A boxed future, which the async methods of [`Handler`](crate::Handler) return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One operation on one key, which a [`Handler`](crate::Handler) carries out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The key of the state.
    pub key: Key<'a>,
    /// The limits. They decide together: either all admit a call and take its cost, or none does.
    pub plans: &'a [Plan],
    /// The operation.
    pub operation: Operation,
}

/// An operation on the state of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Decide about this many units, and take them if they are admitted.
    Take(u64),
    /// As [`Operation::Take`], for a caller that may wait. Buckets also admit it if its slot begins within
    /// `longest`, and take its cost at once: [`Decision::delay`] says how long it has to wait.
    Reserve {
        /// The units.
        cost: u64,
        /// How long the caller may wait; [`Duration::MAX`] means without limit.
        longest: Duration,
    },
    /// Decide about this many units without taking them.
    Peek(u64),
    /// Remove the state of the key.
    Reset,
    /// Take units that were used already, whether or not the limits admit them. Each limit is charged as far
    /// as its key then owes at most `max_debt` units; see [`State::charge`].
    Charge {
        /// The units.
        units: u64,
        /// How many units a key may owe after this; `None` means one capacity of the limit.
        max_debt: Option<u64>,
    },
    /// Refund this many units.
    Refund(u64),
    /// Release the units that a caller took with this reservation and does not use, as far as the
    /// state still counts them.
    Release(Reservation, u64),
}

impl Operation {
    /// The operation that releases the units which `decision` about this operation has taken, or `None` if there are
    /// none.
    pub(crate) const fn release(&self, decision: &Decision) -> Option<Self> {
        match *self {
            Self::Take(cost) | Self::Reserve { cost, .. } if decision.allowed && cost > 0 => {
                Some(Self::Release(decision.reservation, cost))
            }
            _ => None,
        }
    }
}

impl<'a> Request<'a> {
    /// Creates a request.
    ///
    /// Limits create the requests that a handler gets. This is for stores that keep a request for later, and
    /// for their tests.
    ///
    /// ```
    /// use premier::algorithms::Plan;
    /// use premier::{Handler, Key, Limit, MemoryHandler, Operation, Request};
    /// use std::time::Duration;
    ///
    /// let plans = [Plan::new(Limit::fixed_window(3, Duration::from_secs(1)))?];
    /// let key = Key::new("shop:search:fixed_window", Some("alice"));
    /// let request = Request::new(key, &plans, Operation::Take(2));
    /// assert_eq!(MemoryHandler::new().handle(&request)?.remaining, 1);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn new(key: Key<'a>, plans: &'a [Plan], operation: Operation) -> Self {
        Self {
            key,
            plans,
            operation,
        }
    }

    /// Carries out the operation on `states`, which holds one state for each of [`Request::plans`]: those
    /// that [`Request::decode`] returns, or as many times [`State::default`] for a key never seen.
    ///
    /// `now` is the time in nanoseconds, read from a clock that does not step back.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`] when a call costs more than a limit can ever admit. The states
    /// do not change.
    pub fn apply(&self, states: &mut [State], now: u64) -> Result<Decision, Error> {
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
            Operation::Reserve { cost, longest } => {
                self.check_cost(cost)?;
                let effect = Effect::Reserve(after(0, longest));
                Ok(take_all(states, self.plans, now, cost, effect))
            }
            Operation::Peek(cost) => {
                self.check_cost(cost)?;
                Ok(take_all(states, self.plans, now, cost, Effect::Look))
            }
            Operation::Reset => each(states, &|_, state, _| *state = State::default()),
            Operation::Charge { units, max_debt } => each(states, &|_, state, plan| {
                state.charge(plan, now, units, plan.max_debt(max_debt));
            }),
            Operation::Refund(units) => {
                each(states, &|_, state, plan| state.refund(plan, now, units))
            }
            Operation::Release(slot, units) => each(states, &|index, state, plan| {
                state.release(plan, now, &slot, index, units);
            }),
        }
    }

    /// Reads the states of the key, one for each of [`Request::plans`], from the bytes that
    /// [`Request::encode`] has returned. Without bytes they are those of a key never seen.
    ///
    /// A limit that was added since the bytes were written begins with such a state, too.
    ///
    /// # Errors
    /// [`Error::Backend`] when the bytes are not such states, or were written by a version of premier that is
    /// newer and has another format.
    pub fn decode(&self, stored: Option<&[u8]>) -> Result<Vec<State>, Error> {
        let mut states = match stored {
            Some(bytes) => decode(bytes)?,
            None => Vec::new(),
        };
        states.resize(self.plans.len(), State::default());
        Ok(states)
    }

    /// Returns the states of the key as bytes, which [`Request::decode`] reads, and how long the store has
    /// to keep them; `None` when it can remove the key, which is as if it had never been used.
    ///
    /// `now` is the time that was passed to [`Request::apply`]. The bytes are as
    /// [`State::to_bytes`] describes, with one state after the other.
    ///
    /// ```
    /// use premier::algorithms::Plan;
    /// use premier::{Key, Limit, Operation, Request};
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let plans = [
    ///     Plan::new(Limit::token_bucket(2, second))?,
    ///     Plan::new(Limit::fixed_window(100, 60 * second))?,
    /// ];
    /// let request = Request::new(Key::new("shop:pay:token_bucket", None), &plans, Operation::Take(1));
    ///
    /// let mut states = request.decode(None)?;
    /// assert!(request.apply(&mut states, 0)?.allowed);
    /// let (bytes, expires_in) = request.encode(&states, 0).unwrap();
    /// assert_eq!(expires_in, 60 * second);
    /// assert_eq!(request.decode(Some(&bytes))?, states);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn encode(&self, states: &[State], now: u64) -> Option<(Vec<u8>, Duration)> {
        let lifetimes = states
            .iter()
            .zip(self.plans)
            .map(|(state, plan)| state.expires_in(plan, now));
        match lifetimes.max() {
            None | Some(Duration::ZERO) => None,
            Some(longest) => Some((encode(states), longest)),
        }
    }

    /// Another operation on the same key.
    pub(crate) const fn with(&self, operation: Operation) -> Self {
        Self { operation, ..*self }
    }

    /// The units that the operation is about.
    pub(crate) const fn cost(&self) -> u64 {
        match self.operation {
            Operation::Take(units)
            | Operation::Reserve { cost: units, .. }
            | Operation::Peek(units)
            | Operation::Charge { units, .. }
            | Operation::Refund(units)
            | Operation::Release(_, units) => units,
            Operation::Reset => 0,
        }
    }

    /// Returns the request that releases the units which `decision` about this request has taken, or `None` if
    /// there are none.
    ///
    /// For stores whose caller may be gone when the decision comes.
    ///
    /// ```
    /// use premier::algorithms::Plan;
    /// use premier::{Handler, Key, Limit, MemoryHandler, Operation, Request};
    /// use std::time::Duration;
    ///
    /// let (store, key) = (MemoryHandler::new(), Key::new("shop:pay:fixed_window", None));
    /// let plans = [Plan::new(Limit::fixed_window(3, Duration::from_secs(60)))?];
    /// let take = Request::new(key, &plans, Operation::Take(2));
    /// let taken = store.handle(&take)?;
    /// let release = take.release(&taken).unwrap();
    /// assert_eq!(store.handle(&release)?.remaining, 3);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn release(&self, decision: &Decision) -> Option<Self> {
        match self.operation.release(decision) {
            Some(release) => Some(self.with(release)),
            None => None,
        }
    }

    /// Checks that no limit has a capacity below `cost`, so that the call can be admitted at all.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`] otherwise.
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
