//! What a store has to do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::algorithms::Plan;
use crate::clock::Clock;
use crate::decision::Reservation;
use crate::memory::MemoryHandler;
use crate::{Decision, Error};

/// A boxed future, as the async half of a [`Handler`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store that keeps the state of limits and decides by it.
///
/// Two come with premier; a third is made by implementing this trait over
/// [`State`](crate::algorithms::State), which holds the algorithms. The decisions of every handler
/// are the same for the same calls; `tests/data/sequences.jsonl` of the repository is the measure.
///
/// ```
/// use premier::algorithms::State;
/// use premier::{Decision, Error, Handler, Limit, Operation, Request, Throttle};
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// /// Everything under one lock.
/// #[derive(Debug)]
/// struct Simple(Instant, Mutex<HashMap<String, Vec<State>>>);
///
/// impl Handler for Simple {
///     fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
///         let now = self.0.elapsed().as_nanos() as u64;
///         let mut map = self.1.lock().unwrap();
///         let states = map
///             .entry(request.key.to_string())
///             .or_insert_with(|| vec![State::default(); request.plans.len()]);
///         request.apply(states, now)
///     }
///
///     fn clear(&self, keyspace: &str) -> Result<(), Error> {
///         let prefix = format!("{keyspace}:");
///         self.1.lock().unwrap().retain(|key, _| !key.starts_with(&prefix));
///         Ok(())
///     }
/// }
///
/// let handler = Simple(Instant::now(), Mutex::default());
/// let limit = Limit::sliding_log(1, Duration::from_secs(60));
/// let throttle = Throttle::with_handler(handler, "login", limit);
/// assert!(throttle.check("alice")?.allowed);
/// assert!(!throttle.check("alice")?.allowed);
/// # Ok::<(), Error>(())
/// ```
pub trait Handler: fmt::Debug + Send + Sync + 'static {
    /// Carries out one operation on one key, blocking if it must.
    ///
    /// # Errors
    /// [`Error::backend`] when the store cannot be reached in time.
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error>;

    /// The same for async callers. By default the blocking form, which is right for stores that
    /// never block.
    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        Box::pin(std::future::ready(self.handle(&request)))
    }

    /// Forgets every key of `keyspace`, and none of any other.
    ///
    /// # Errors
    /// [`Error::backend`] when the store cannot be reached in time.
    fn clear(&self, keyspace: &str) -> Result<(), Error>;

    /// The same for async callers.
    fn clear_async<'a>(&'a self, keyspace: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(self.clear(keyspace)))
    }

    /// Carries an operation out some time soon, without anybody waiting for it: a caller that was
    /// dropped gives back what it held. By default at once.
    fn handle_detached(&self, request: &Request<'_>) {
        let _ = self.handle(request);
    }

    /// Where values of `#[cache]` are shared, if they are.
    #[doc(hidden)]
    #[cfg(feature = "cache")]
    fn values(&self) -> Option<&dyn crate::cache::ValueStore> {
        None
    }

    /// The clock by which callers sleep until it is their turn; the system's by default.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }

    /// What the store is called, for people to read.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Whether the store can be reached now, if that is known without asking it.
    fn is_up(&self) -> Option<bool> {
        None
    }

    /// The memory handler behind this one, which decides without a virtual call.
    #[doc(hidden)]
    fn as_memory(&self) -> Option<&MemoryHandler> {
        None
    }
}

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

/// The full key of a state: `{keyspace}:{function}:{algo}`, plus `:{key}` for a keyed limit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key<'a> {
    prefix: &'a str,
    user: Option<&'a str>,
}

impl<'a> Key<'a> {
    pub(crate) const fn new(prefix: &'a str, user: Option<&'a str>) -> Self {
        Self { prefix, user }
    }

    /// Everything before the caller's part.
    #[must_use]
    pub const fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The caller's part, if the limit is keyed.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix)?;
        match self.user {
            Some(user) => write!(formatter, ":{user}"),
            None => Ok(()),
        }
    }
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
            for (nth, (state, plan)) in states.iter_mut().zip(self.plans).enumerate() {
                change(nth, state, plan);
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
            Operation::Release(slot, units) => each(states, &|nth, state, plan| {
                state.release(plan, now, &slot, nth, units);
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
