//! The trait of a store.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::{BoxFuture, Request};
#[cfg(feature = "cache")]
use crate::store::values::ValueStore;

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
pub trait Handler: Any + fmt::Debug + Send + Sync {
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
    fn values(&self) -> Option<&dyn ValueStore> {
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
}
