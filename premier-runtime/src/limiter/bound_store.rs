//! The store that a limiter is bound to, and the outage policy over it.

use std::sync::Arc;

use crate::algorithms::Plan;
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::store::handler::Handler;
use crate::store::memory::{BoundTable, FastPath, Table, as_memory};
use crate::store::outage::{self, OnBackendError};
use crate::store::request::{Operation, Request};
use crate::telemetry::{self, Timer};

/// A store bound to one key prefix.
#[derive(Debug)]
pub(super) enum BoundStore {
    Memory(BoundTable),
    // Boxed, so that limits in memory are small.
    Other(Box<OtherStore>),
}

/// A store outside of this process.
#[derive(Debug)]
pub(super) struct OtherStore {
    handler: Arc<dyn Handler>,
    policy: OnBackendError,
    /// Decides while the handler cannot, under [`OnBackendError::Memory`].
    fallback: BoundTable,
    clock: SteadyClock,
}

impl BoundStore {
    /// The configured store, and the fast path where there is one.
    pub(super) fn bind(
        runtime: &Runtime,
        prefix: &str,
        plans: &[Plan],
    ) -> (Self, Option<FastPath>) {
        let handler = runtime.handler();
        match as_memory(&**handler) {
            Some(memory) => {
                let table = memory.bind(prefix, plans);
                let fast_path = FastPath::new(&table, plans);
                (Self::Memory(table), Some(fast_path))
            }
            None => {
                let store = OtherStore {
                    handler: Arc::clone(handler),
                    policy: runtime.on_backend_error(),
                    fallback: runtime.fallback().bind(prefix, plans),
                    clock: runtime.clock().clone(),
                };
                (Self::Other(Box::new(store)), None)
            }
        }
    }

    /// Identifies the store, as different stores may hold equal prefixes.
    pub(super) fn id(&self) -> usize {
        match self {
            Self::Memory(table) => table.handler().id(),
            Self::Other(other) => Arc::as_ptr(&other.handler).addr(),
        }
    }

    /// The name of the store.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Memory(..) => "memory",
            Self::Other(other) => other.handler.name(),
        }
    }

    /// Whether the store can be reached; `None` if that is unknown.
    #[cfg(feature = "dashboard")]
    pub(super) fn is_up(&self) -> Option<bool> {
        match self {
            Self::Memory(..) => None,
            Self::Other(other) => other.handler.is_up(),
        }
    }

    /// What happens to calls while the store cannot decide; `None` for the memory.
    #[cfg(feature = "dashboard")]
    pub(super) fn outage_policy(&self) -> Option<&'static str> {
        match self {
            Self::Memory(..) => None,
            Self::Other(other) => Some(other.policy.as_str()),
        }
    }

    /// The number of keys in this process, and its upper limit.
    #[cfg(feature = "dashboard")]
    pub(super) fn keys(&self) -> (usize, usize) {
        self.bound_table().keys()
    }

    /// Registers the metrics of the store. No lock may be held.
    pub(super) fn register_metrics(&self) {
        self.bound_table().register_metrics();
        if let Self::Other(other) = self {
            telemetry::register_store(other.handler.name(), other.policy.as_str());
        }
    }

    pub(super) fn clock(&self) -> &SteadyClock {
        match self {
            Self::Memory(table) => table.clock(),
            Self::Other(other) => &other.clock,
        }
    }

    /// Whether operations complete without waiting for anything outside the process.
    pub(super) const fn is_immediate(&self) -> bool {
        matches!(self, Self::Memory(..))
    }

    /// Prepares the states in this process for decisions by `plans`.
    pub(super) fn register(&self, plans: &[Plan]) {
        self.table().register(plans);
    }

    /// Carries an operation out, blocking the thread where the store does.
    pub(super) fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        match self {
            Self::Memory(table) => table.handle(request),
            Self::Other(other) => {
                let handler = &other.handler;
                if let Some(decision) = self.decide_locally(request) {
                    return Ok(decision);
                }
                let timer = Timer::start(handler.name());
                let result = handler.handle(request);
                timer.stop(&result);
                result.or_else(|error| self.apply_outage_policy(request, error))
            }
        }
    }

    /// Decides about a call without asking a store outside of this process; `None` if that is impossible.
    pub(super) fn decide_locally(&self, request: &Request<'_>) -> Option<Decision> {
        match request.operation {
            // A peek returns the state in the store, which this process may not know.
            Operation::Peek(_) => None,
            _ => self.handler()?.decide_locally(request),
        }
    }

    /// The denial of a call, if this process knows that it would be denied now.
    #[cfg(feature = "axum")]
    pub(super) fn known_denial(&self, request: &Request<'_>) -> Option<Decision> {
        let known = match self {
            Self::Memory(table) => table.handle(request).ok(),
            Self::Other(other) => other.handler.decide_locally(request),
        };
        known.filter(|decision| !decision.allowed)
    }

    /// As [`BoundStore::handle`], without blocking the thread. [`BoundStore::decide_locally`] is called before.
    pub(super) async fn handle_async(&self, request: Request<'_>) -> Result<Decision, Error> {
        match self {
            Self::Memory(table) => table.handle(&request),
            Self::Other(other) => {
                let handler = &other.handler;
                let timer = Timer::start(handler.name());
                let result = handler.handle_async(request).await;
                timer.stop(&result);
                result.or_else(|error| self.apply_outage_policy(&request, error))
            }
        }
    }

    /// Refunds units to the store that has given them, or charges more there, in the background. A failure is not
    /// reported.
    pub(super) fn correct_detached(&self, request: &Request<'_>, from_fallback: bool) {
        match self.origin(from_fallback) {
            Some(handler) => handler.handle_detached(request),
            None => drop(self.bound_table().handle(request)),
        }
    }

    /// Refunds units to the store that has given them, or charges more there. Blocks the thread where the store
    /// does.
    ///
    /// # Errors
    /// When the store cannot be reached. The outage policy does not apply, because it decides about calls.
    pub(super) fn correct(&self, request: &Request<'_>, from_fallback: bool) -> Result<(), Error> {
        let corrected = match self.origin(from_fallback) {
            Some(handler) => handler.handle(request),
            None => self.bound_table().handle(request),
        };
        corrected.map(drop)
    }

    /// As [`BoundStore::correct`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`BoundStore::correct`].
    pub(super) async fn correct_async(
        &self,
        request: Request<'_>,
        from_fallback: bool,
    ) -> Result<(), Error> {
        let corrected = match self.origin(from_fallback) {
            Some(handler) => handler.handle_async(request).await,
            None => self.bound_table().handle(&request),
        };
        corrected.map(drop)
    }

    /// The store that has given the units of a call, if it is outside of this process.
    fn origin(&self, from_fallback: bool) -> Option<&Arc<dyn Handler>> {
        self.handler().filter(|_| !from_fallback)
    }

    /// The store, if it is outside of this process.
    pub(super) fn handler(&self) -> Option<&Arc<dyn Handler>> {
        match self {
            Self::Memory(..) => None,
            Self::Other(other) => Some(&other.handler),
        }
    }

    /// The states in this process.
    pub(super) fn table(&self) -> &Table {
        self.bound_table()
    }

    /// `{keyspace}:{name}:{algo}`
    pub(super) fn prefix(&self) -> &Arc<str> {
        self.bound_table().prefix()
    }

    fn bound_table(&self) -> &BoundTable {
        match self {
            Self::Memory(table) => table,
            Self::Other(other) => &other.fallback,
        }
    }

    /// Counts a call that the outage policy decides after this error.
    pub(super) fn count_outage_call(&self, error: &Error) {
        if let (Self::Other(other), Error::Backend { .. }) = (self, error) {
            outage::count(other.policy, other.handler.name());
        }
    }

    fn apply_outage_policy(&self, request: &Request<'_>, error: Error) -> Result<Decision, Error> {
        self.count_outage_call(&error);
        self.decide_by_policy(request, error)
    }

    /// The decision of the configured policy while the store cannot decide. Other errors are returned unchanged.
    pub(super) fn decide_by_policy(
        &self,
        request: &Request<'_>,
        error: Error,
    ) -> Result<Decision, Error> {
        let Self::Other(other) = self else {
            return Err(error);
        };
        if !matches!(error, Error::Backend { .. }) {
            return Err(error);
        }
        match other.policy {
            OnBackendError::Deny => Err(error),
            OnBackendError::Allow => {
                let capacity = request.plans.iter().map(Plan::capacity).min();
                let limit = capacity.unwrap_or_default();
                Ok(Decision {
                    remaining: limit,
                    ..Decision::new(limit)
                })
            }
            OnBackendError::Memory => {
                let mut decision = other.fallback.handle(request)?;
                decision.reservation.from_fallback = true;
                Ok(decision)
            }
        }
    }
}
