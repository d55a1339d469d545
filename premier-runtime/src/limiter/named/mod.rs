//! A named limit bound to a store: what attributes, throttles and layers decide through.
//!
//! - [`decide`]: asks the fast path and the store.
//! - [`give_back`]: refunds units and releases slots, or charges more, and wakes the waiters affected.
//! - [`change`]: replaces the limits while calls decide and wait.
//! - [`refusals`]: the errors of calls that are not admitted.

mod change;
mod decide;
mod give_back;
mod refusals;

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use super::bound_store::BoundStore;
use super::wait_queue::WaitQueues;
use crate::algorithms::Plan;
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::config::scope;
use crate::error::Error;
use crate::key::full::Key;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::limit::quota::Limit;
use crate::store::memory::FastPath;
use crate::store::request::{BoxFuture, Operation, Request};
use crate::sync::RwLock;
use crate::sync_future::SyncFuture;
use crate::telemetry::collector::{self, Collected};
use crate::telemetry::{Outcome, Telemetry};

/// The future of an operation on a limit.
pub(super) type Asking<'a> = SyncFuture<BoxFuture<'a, Result<Decision, Error>>>;

/// A decision, and the plans that it was made by; `None` on the fast path, which does not say.
pub(super) type Decided = (Decision, Option<Arc<[Plan]>>);

/// A named limit bound to a store.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// The name in errors, events and overrides: a function with its module, or that of a throttle.
    name: Arc<str>,
    fast_path: Option<FastPath>,
    pub(super) store: BoundStore,
    /// The limits in the code, without an override.
    stated: Arc<[Plan]>,
    is_queue: bool,
    is_bucket: bool,
    /// The limits in force.
    plans: RwLock<Arc<[Plan]>>,
    telemetry: Telemetry,
    /// Created for the first caller that may wait.
    queues: OnceLock<Arc<WaitQueues>>,
    /// Called with the name when the limiter is gone.
    on_drop: fn(&str),
}

impl Limiter {
    /// `on_drop` is called with the name when the limiter is dropped.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration cannot be used.
    pub(crate) fn new(
        runtime: &Runtime,
        name: Arc<str>,
        plans: Arc<[Plan]>,
        on_drop: fn(&str),
    ) -> Result<Arc<Self>, Error> {
        runtime.validate()?;
        let first = plans.first().map(Plan::limit);
        let algo = first.map_or_else(Default::default, Limit::algo);
        let prefix = format!("{}:{name}:{algo}", runtime.keyspace());
        let (store, fast_path) = BoundStore::bind(runtime, &prefix, &plans);
        Ok(Arc::new(Self {
            telemetry: Telemetry::new(algo, runtime.log_keys()),
            name,
            queues: OnceLock::new(),
            fast_path,
            store,
            is_queue: plans.iter().any(Plan::is_queue),
            is_bucket: plans.iter().any(Plan::is_bucket),
            stated: Arc::clone(&plans),
            plans: RwLock::new(plans),
            on_drop,
        }))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    #[cfg(feature = "dashboard")]
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The limits in force.
    pub(crate) fn plans(&self) -> Arc<[Plan]> {
        self.with_plans(Arc::clone)
    }

    /// Calls `look` with the limits in force, under their lock.
    pub(crate) fn with_plans<R>(&self, look: impl FnOnce(&Arc<[Plan]>) -> R) -> R {
        look(&self.plans.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn limits(&self) -> Vec<Limit> {
        self.plans().iter().map(|plan| *plan.limit()).collect()
    }

    /// Adds a decision to the collector of this thread, if there is one: the headers of a response describe it.
    pub(crate) fn collect(&self, decision: &Decision) {
        if collector::is_open() {
            collector::collect(Collected {
                name: Arc::clone(&self.name),
                plans: self.plans(),
                decision: Some(*decision),
            });
        }
    }

    /// The name of the store, and whether it can be reached; `None` if that is unknown.
    #[cfg(feature = "dashboard")]
    pub(crate) fn store(&self) -> (&'static str, Option<bool>) {
        (self.store.name(), self.store.is_up())
    }

    /// The name of the store, and a number that distinguishes stores of one name.
    #[cfg(feature = "dashboard")]
    pub(crate) fn store_id(&self) -> (&'static str, usize) {
        (self.store.name(), self.store.id())
    }

    /// What happens to calls while the store cannot decide; `None` if it always can.
    #[cfg(feature = "dashboard")]
    pub(crate) fn outage_policy(&self) -> Option<&'static str> {
        self.store.outage_policy()
    }

    /// How many calls wait.
    #[cfg(feature = "dashboard")]
    pub(crate) fn waiting(&self) -> u64 {
        let queues = self.queues.get();
        queues.map_or(0, |queues| queues.count().get())
    }

    /// The number of keys in the memory of this process, and its upper limit.
    #[cfg(feature = "dashboard")]
    pub(crate) fn keys(&self) -> (usize, usize) {
        self.store.keys()
    }

    /// Registers the metrics of the limit and of its store. No lock may be held.
    pub(super) fn register_metrics(&self) {
        self.telemetry.register(&self.name, self.store.name());
        self.store.register_metrics();
    }

    /// The queues of the callers that wait for this limit.
    #[inline]
    pub(crate) fn queues(&self) -> &Arc<WaitQueues> {
        self.queues
            .get_or_init(|| WaitQueues::shared(self.store.id(), self.store.prefix()))
    }

    pub(crate) fn clock(&self) -> &SteadyClock {
        self.store.clock()
    }

    /// Whether operations complete without waiting for anything outside the process.
    pub(crate) const fn is_immediate(&self) -> bool {
        self.store.is_immediate()
    }

    /// Whether an admitted call may have to wait for its slot.
    pub(crate) const fn is_queue(&self) -> bool {
        self.is_queue
    }

    /// Whether the store knows when a call will be admitted, so that a call reserves its slot when it arrives.
    pub(crate) const fn is_bucket(&self) -> bool {
        self.is_bucket
    }

    /// Records a decision.
    #[inline]
    pub(crate) fn record(&self, key: Option<&Subject<'_>>, outcome: Outcome<'_>) {
        if let Some(scope) = scope::current() {
            scope.count(&self.name, outcome.is_admitted());
        }
        let store = || self.store.name();
        self.telemetry.decided(&self.name, store, key, outcome);
    }

    /// Records how long a call waited until it was admitted.
    pub(super) fn record_wait(&self, length: Duration) {
        self.telemetry.waited(&self.name, length);
    }

    /// Records that a call begins or ends to wait.
    pub(crate) fn record_waiting(&self, waits: bool) {
        self.telemetry.waits(&self.name, waits);
    }

    /// Records the decision in `result` and returns it.
    pub(crate) fn recorded<T>(
        &self,
        key: Option<&Subject<'_>>,
        result: Result<T, Error>,
        is_allowed: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        self.record(key, Outcome::of(result.as_ref().map(is_allowed)));
        result
    }

    pub(super) fn request<'a>(
        &'a self,
        key: Option<&'a str>,
        plans: &'a [Plan],
        operation: Operation,
    ) -> Request<'a> {
        Request {
            key: Key::new(self.store.prefix(), key),
            plans,
            operation,
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        (self.on_drop)(&self.name);
    }
}
