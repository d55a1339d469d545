//! The trait that every store implements.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::request::{BoxFuture, Operation, Request};
use crate::store::take_all::take_in_turn;
#[cfg(feature = "cache")]
use crate::store::values::ValueStore;

/// A store that keeps the state of limits and decides calls.
///
/// [`MemoryHandler`](crate::MemoryHandler) and, with the feature `redis`, `RedisHandler` are included.
/// Other stores implement this trait with [`State`](crate::algorithms::State), which contains the
/// algorithms. All handlers must make the same decisions about the same calls; the crate
/// `premier-conformance` checks that in a store's tests.
///
/// [`Request::apply`] decides. The store keeps the states of a key, prevents concurrent changes of them, and reads
/// the time. A store of opaque values keeps the bytes of [`Request::encode`] for the time that it returns, and
/// changes them by compare-and-swap. The example `remote_store` in the repository is such a store, with its server.
///
/// A store that decides by a script must decide as [`Request::apply`] does: [`Plan`](crate::algorithms::Plan) has
/// the numbers of each limit, and [`Reservation`](crate::Reservation) describes how units are released.
///
/// ```
/// use premier::algorithms::State;
/// use premier::{Decision, Error, Handler, Limit, Operation, Request, Throttle};
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// /// Keeps all states behind one lock.
/// #[derive(Debug)]
/// struct Simple(Instant, Mutex<HashMap<String, Vec<State>>>);
///
/// impl Handler for Simple {
///     fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
///         let now = self.0.elapsed().as_nanos() as u64;
///         let mut map = self.1.lock().unwrap();
///         let states = map.entry(request.key.to_string()).or_default();
///         // A limit may have been added since the last call.
///         states.resize(request.plans.len(), State::default());
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
/// let throttle = Throttle::new("login", limit).with_config(handler);
/// assert!(throttle.check("alice")?.allowed);
/// assert!(!throttle.check("alice")?.allowed);
/// # Ok::<(), Error>(())
/// ```
pub trait Handler: Any + fmt::Debug + Send + Sync {
    /// Carries out one operation on one key. May block the calling thread.
    ///
    /// # Errors
    /// [`Error::backend`] when the store cannot be reached in time, and
    /// [`Error::CostExceedsCapacity`] for a call that can never be admitted.
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error>;

    /// Decides about a call without asking the store, or returns `None` if the store has to be asked. Must not
    /// block.
    ///
    /// Called before [`Handler::handle`] and [`Handler::handle_async`], except for [`Operation::Peek`]. Called with
    /// [`Operation::Peek`] for the headers of a response to a call that was denied. The default returns `None`.
    /// Override it in a store that remembers denials, or takes units ahead.
    fn decide_locally(&self, request: &Request<'_>) -> Option<Decision> {
        let _ = request;
        None
    }

    /// Carries out one operation on one key without blocking the calling thread.
    ///
    /// The default calls [`Handler::handle`]. Override it in a store whose `handle` blocks.
    fn handle_async<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Decision, Error>> {
        Box::pin(std::future::ready(self.handle(&request)))
    }

    /// Takes the cost of each of several requests, all of them [`Operation::Take`]: from every key, or, if
    /// one of the decisions is a denial, from none. Returns a decision for each request. May block the
    /// calling thread.
    ///
    /// Called for functions with several throttles. The default asks with [`Operation::Peek`], takes in turn,
    /// and releases the units that it has taken if another call has come between. Override it in a store that can
    /// decide about all keys in one operation.
    ///
    /// # Errors
    /// As for [`Handler::handle`]. Nothing is taken then.
    fn take_all(&self, requests: &[Request<'_>]) -> Result<Vec<Decision>, Error> {
        take_all_in_turn(self, requests)
    }

    /// As [`Handler::take_all`], without blocking the calling thread. The default calls [`Handler::handle_async`]
    /// in place of [`Handler::handle`].
    fn take_all_async<'a>(
        &'a self,
        requests: &'a [Request<'a>],
    ) -> BoxFuture<'a, Result<Vec<Decision>, Error>> {
        Box::pin(take_all_in_turn_async(self, requests))
    }

    /// Removes every key of `keyspace`, that is, every key whose text starts with `{keyspace}:`. May
    /// block the calling thread.
    ///
    /// # Errors
    /// [`Error::backend`] when the store cannot be reached in time.
    fn clear(&self, keyspace: &str) -> Result<(), Error>;

    /// Removes every key of `keyspace` without blocking the calling thread.
    ///
    /// The default calls [`Handler::clear`]. Override it in a store whose `clear` blocks.
    fn clear_async<'a>(&'a self, keyspace: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(self.clear(keyspace)))
    }

    /// Carries out an operation in the background and ignores its result.
    ///
    /// Called to release the units of a caller that was dropped while it waited. The default calls
    /// [`Handler::handle`]. Override it in a store whose `handle` blocks.
    fn handle_detached(&self, request: &Request<'_>) {
        let _ = self.handle(request);
    }

    /// Returns the store through which processes share the values of `#[cache]`, if there is one. Default:
    /// `None`, so that values stay in the process that has computed them.
    #[cfg(feature = "cache")]
    fn values(&self) -> Option<&dyn ValueStore> {
        None
    }

    /// Returns the clock with which callers sleep until their turn. The default, `None`, stands for
    /// [`SystemClock`](crate::clock::SystemClock).
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }

    /// Returns the name of the store, for the dashboard and for the label `store` of metrics. Default: `"custom"`.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Returns whether the store can be reached, as far as is known without calling it. Default:
    /// `None`, which means unknown.
    fn is_up(&self) -> Option<bool> {
        None
    }
}

/// [`Handler::take_all`] by single operations.
pub(crate) fn take_all_in_turn<H: Handler + ?Sized>(
    handler: &H,
    requests: &[Request<'_>],
) -> Result<Vec<Decision>, Error> {
    let mut decisions = vec![Decision::default(); requests.len()];
    let taken = take_in_turn(
        &mut decisions,
        |index| requests[index].cost(),
        |index, operation| handler.handle(&requests[index].with(operation)),
        |index, decision| {
            if let Some(release) = requests[index].release(decision) {
                handler.handle_detached(&release);
            }
        },
    );
    taken.map(|()| decisions).map_err(|(_, error)| error)
}

/// [`Handler::take_all_async`] by single operations.
pub(crate) async fn take_all_in_turn_async<H: Handler + ?Sized>(
    handler: &H,
    requests: &[Request<'_>],
) -> Result<Vec<Decision>, Error> {
    let mut decisions = Vec::with_capacity(requests.len());
    for request in requests {
        let peek = request.with(Operation::Peek(request.cost()));
        decisions.push(handler.handle_async(peek).await?);
    }
    if !decisions.iter().all(|decision| decision.allowed) {
        return Ok(decisions);
    }
    // Releases in the background if the caller stops waiting.
    let mut taken = TakenRequests(handler, Vec::with_capacity(requests.len()));
    for (request, decision) in requests.iter().zip(&mut decisions) {
        *decision = handler.handle_async(*request).await?;
        if !decision.allowed {
            return Ok(decisions);
        }
        taken.1.push((*request, *decision));
    }
    taken.1.clear();
    Ok(decisions)
}

struct TakenRequests<'a, H: Handler + ?Sized>(&'a H, Vec<(Request<'a>, Decision)>);

impl<H: Handler + ?Sized> Drop for TakenRequests<'_, H> {
    fn drop(&mut self) {
        for (request, decision) in &self.1 {
            if let Some(release) = request.release(decision) {
                self.0.handle_detached(&release);
            }
        }
    }
}
