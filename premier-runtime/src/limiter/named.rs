//! A named limit bound to a store: what attributes, throttles and layers decide through.

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use super::bound_store::BoundStore;
use super::known_plans::plans_of;
use super::max_wait::{MaxWait, WaitTime};
use super::wait_queue::{GiveBack, HeldSlots, Reason, WaitQueues};
use crate::algorithms::{Answer, Plan};
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::config::scope;
use crate::error::Error;
use crate::key::full::Key;
use crate::key::subject::{Subject, with_text};
use crate::limit::decision::{Decision, Reservation};
use crate::limit::lease::Lease;
use crate::limit::quota::Limit;
use crate::store::memory::FastPath;
use crate::store::request::{BoxFuture, Operation, Request};
use crate::sync::RwLock;
use crate::sync_future::SyncFuture;
use crate::telemetry::collector::{self, Collected};
use crate::telemetry::{Outcome, Telemetry};

/// The future of an operation on a limit.
pub(super) type Asking<'a> = SyncFuture<BoxFuture<'a, Result<Decision, Error>>>;

/// A decision, and the limits that have decided unless the fast path has.
pub(super) type Decided = (Decision, Option<Arc<[Plan]>>);

/// A named limit bound to a store.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// The name in errors, events and overrides: a function with its module, or that of a throttle.
    name: Arc<str>,
    fast_path: Option<FastPath>,
    pub(super) store: BoundStore,
    /// The limits that the code states.
    stated: Arc<[Plan]>,
    is_queue: bool,
    is_bucket: bool,
    /// The limits in force.
    plans: RwLock<Arc<[Plan]>>,
    telemetry: Telemetry,
    /// Made for the first caller that may wait.
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

    /// The limits that the code states.
    pub(super) const fn stated(&self) -> &Arc<[Plan]> {
        &self.stated
    }

    /// Looks for a collector of decisions from now on.
    #[cfg(feature = "tower")]
    pub(super) fn look_for_collector(&self) {
        // Under the lock under which the limits change, so that it does not undo a change.
        let plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fast_path) = &self.fast_path {
            fast_path.set_limits(&plans);
        }
    }

    /// Lets a decision be collected, if that is done on this thread: the headers of a response describe it.
    pub(crate) fn collect(&self, decision: &Decision) {
        if collector::is_open() {
            collector::collect(Collected {
                name: Arc::clone(&self.name),
                plans: self.plans(),
                decision: Some(*decision),
            });
        }
    }

    /// Takes their slots from those who wait, until the guard is dropped.
    pub(super) fn hold_slots(&self) -> HeldSlots<'_> {
        self.queues()
            .hold_all(|key, what| self.give_back_recalled(key, what))
    }

    /// Lets those who wait ask again, because the limits have changed. Those who have slots give them back.
    pub(super) fn ask_again(&self) {
        self.queues()
            .recall_all(|key, what| self.give_back_recalled(key, what));
    }

    fn give_back_recalled(&self, key: Option<&str>, what: &GiveBack) {
        let request = self.request(key, &what.plans, what.operation);
        let _ = self.store.correct(&request, what.from_fallback);
    }

    /// Decides by other limits from now on. States are kept.
    pub(super) fn replace(&self, plans: Arc<[Plan]>) {
        self.store.register(&plans);
        // Both change under one lock, so that concurrent calls cannot leave them at different limits.
        let mut current = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fast_path) = &self.fast_path {
            fast_path.set_limits(&plans);
        }
        *current = plans;
    }

    /// Other limits. One without a lease has that of the code.
    ///
    /// # Errors
    /// [`Error::Config`] that says why the limits cannot replace those there are.
    pub(super) fn replacement(&self, limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
        let stated = self
            .stated
            .first()
            .and_then(|plan| plan.limit().stated_lease());
        let with_lease = |limit: &Limit| match (limit.stated_lease(), stated) {
            (None, Some(Lease::Units(units))) => {
                limit.lease(Lease::Units(units.min(limit.capacity())))
            }
            (None, Some(lease)) => limit.lease(lease),
            _ => *limit,
        };
        let limits: Vec<_> = limits.iter().map(with_lease).collect();
        let plans = plans(&self.name, &limits)?;
        if plans.len() != self.stated.len() {
            return Err(Error::config(format!(
                "{} limits cannot stand for {}: the state of each is kept",
                plans.len(),
                self.stated.len()
            )));
        }
        for (plan, stated) in plans.iter().zip(&*self.stated) {
            let (algo, stated) = (plan.limit().algo(), stated.limit().algo());
            if algo != stated {
                return Err(Error::config(format!(
                    "{algo} cannot stand for {stated}: its state is of another kind"
                )));
            }
        }
        Ok(plans)
    }

    /// What keeps the state, and whether it can be reached if that is known.
    #[cfg(feature = "dashboard")]
    pub(crate) fn store(&self) -> (&'static str, Option<bool>) {
        (self.store.name(), self.store.is_up())
    }

    /// The name of the store, and a number that is different for each store of that name.
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

    /// How many keys the memory of this process keeps, and how many it may keep.
    #[cfg(feature = "dashboard")]
    pub(crate) fn keys(&self) -> (usize, usize) {
        self.store.keys()
    }

    /// Registers the metrics of the limit and of its store. No lock may be held.
    pub(super) fn register_metrics(&self) {
        self.telemetry.register(&self.name, self.store.name());
        self.store.register_metrics();
    }

    /// The callers that wait for this limit.
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

    /// Whether the store knows when a call will be admitted: it then takes its slot when it comes.
    pub(crate) const fn is_bucket(&self) -> bool {
        self.is_bucket
    }

    /// What to ask the store for a call that may wait this long.
    pub(crate) fn operation(&self, cost: u64, max_wait: MaxWait) -> Operation {
        let longest = match max_wait.time {
            WaitTime::AtMost(longest) => longest,
            WaitTime::Unbounded => Duration::MAX,
            WaitTime::None => return Operation::Take(cost),
        };
        match self.is_bucket && self.may_wait_too(max_wait) {
            true => Operation::Reserve { cost, longest },
            false => Operation::Take(cost),
        }
    }

    /// Decides about a call on the fast path; `None` where the store has to be asked. Also `None` for a
    /// caller that may wait while others wait, so that it does not overtake them.
    // Into each caller, which knows whether there is a key and what of the answer it needs.
    #[inline(always)]
    pub(crate) fn try_take<A: Answer>(
        &self,
        key: Option<&Subject<'_>>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Option<A> {
        if scope::current().is_some() {
            // A test may let the limit refuse calls.
            return None;
        }
        let fast_path = self.fast_path.as_ref()?;
        // The first call that may wait makes the queues, on the slow path.
        let has_no_waiter = || self.queues.get().is_some_and(|queues| queues.is_empty());
        if max_wait.may_wait() && !has_no_waiter() {
            return None;
        }
        fast_path.try_take(key, cost)
    }

    /// Decides about a call that does not wait, and takes its cost if it is admitted.
    ///
    /// # Errors
    /// When the store cannot decide, and for a cost that no time can admit.
    #[inline]
    pub(crate) fn take(&self, key: Option<&Subject<'_>>, cost: u64) -> Result<Decision, Error> {
        match self.try_take(key, cost, MaxWait::NONE) {
            Some(decision) => Ok(decision),
            None => with_text(key, |key| self.handle(key, Operation::Take(cost))),
        }
    }

    /// As [`Limiter::take`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) async fn take_async(&self, key: Option<&str>, cost: u64) -> Result<Decision, Error> {
        if self.is_immediate() {
            self.take(key.map(Subject::Text).as_ref(), cost)
        } else {
            self.handle_async(key, Operation::Take(cost)).await
        }
    }

    /// Decides about a call that may wait this long, and takes its cost if it is admitted; `None` where
    /// deciding may block.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) fn acquire_at_once(
        &self,
        key: Option<&str>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Result<Option<Decided>, Error> {
        if !self.is_immediate() {
            return Ok(None);
        }
        let operation = self.operation(cost, max_wait);
        let max_wait = match operation {
            Operation::Take(_) => MaxWait::NONE,
            _ => max_wait,
        };
        let fast = self.try_take(key.map(Subject::Text).as_ref(), cost, max_wait);
        // A bucket that denies a call at once may have a slot for one that waits.
        if let Some(decision @ Decision { allowed, .. }) = fast
            && (allowed || !max_wait.may_wait())
        {
            return Ok(Some((decision, None)));
        }
        let plans = self.plans();
        let decision = self.handle_by(&plans, key, operation)?;
        Ok(Some((decision, Some(plans))))
    }

    /// Carries an operation out, blocking the thread where the store does.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(crate) fn handle(
        &self,
        key: Option<&str>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        self.handle_by(&self.plans(), key, operation)
    }

    /// As [`Limiter::handle`], by these limits.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub(super) fn handle_by(
        &self,
        plans: &[Plan],
        key: Option<&str>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        if let Some(denied) = self.denied_by_test(operation) {
            return Ok(denied);
        }
        let request = self.request(key, plans, operation);
        self.store
            .handle(&request)
            .map_err(|error| error.at(&self.name, key))
    }

    /// The decision about a call of cost 1 that would be denied now, as far as it is known in this process.
    #[cfg(feature = "axum")]
    pub(crate) fn known_denial(&self, key: Option<&str>) -> Option<Decision> {
        let operation = Operation::Peek(1);
        self.denied_by_test(operation).or_else(|| {
            let plans = self.plans();
            self.store
                .known_denial(&self.request(key, &plans, operation))
        })
    }

    /// As [`Limiter::handle`], without blocking the thread.
    pub(crate) fn handle_async<'a>(
        &'a self,
        key: Option<&'a str>,
        operation: Operation,
    ) -> Asking<'a> {
        self.handle_async_by(self.plans(), key, operation)
    }

    /// As [`Limiter::handle_async`], by these limits.
    pub(super) fn handle_async_by<'a>(
        &'a self,
        plans: Arc<[Plan]>,
        key: Option<&'a str>,
        operation: Operation,
    ) -> Asking<'a> {
        let decided =
            |decided| SyncFuture::new(Box::pin(std::future::ready(decided)) as BoxFuture<_>);
        if self.is_immediate() {
            return decided(self.handle_by(&plans, key, operation));
        }
        if let Some(denied) = self.denied_by_test(operation) {
            return decided(Ok(denied));
        }
        let request = self.request(key, &plans, operation);
        if let Some(decision) = self.store.decide_locally(&request) {
            return decided(Ok(decision));
        }
        SyncFuture::new(Box::pin(async move {
            let request = self.request(key, &plans, operation);
            let decided = self.store.handle_async(request).await;
            decided.map_err(|error| error.at(&self.name, key))
        }))
    }

    /// The denial of a call that a test wants to be denied.
    fn denied_by_test(&self, operation: Operation) -> Option<Decision> {
        let asks = matches!(
            operation,
            Operation::Take(_) | Operation::Reserve { .. } | Operation::Peek(_)
        );
        if !asks || !scope::current()?.refuses(&self.name) {
            return None;
        }
        let plans = self.plans();
        Some(Decision {
            allowed: false,
            retry_after: Duration::from_secs(1),
            ..plans.first().map(Plan::decision).unwrap_or_default()
        })
    }

    /// Gives back the slot of a caller that no longer waits for it. A failure is not reported; the slot
    /// is then lost.
    pub(crate) fn release(&self, key: Option<&str>, slot: Reservation, units: u64) {
        self.release_by(&self.plans(), key, slot, units);
    }

    /// As [`Limiter::release`], for a slot that was taken under these limits.
    pub(super) fn release_by(
        &self,
        plans: &[Plan],
        key: Option<&str>,
        slot: Reservation,
        units: u64,
    ) {
        let request = self.request(key, plans, Operation::Release(slot, units));
        self.store.correct_detached(&request, slot.from_fallback);
        match slot.end(0) {
            0 => self.refunded(key, units),
            // Those behind the slot have moved up already.
            _ => self.queues().notify(key),
        }
    }

    /// Gives back what callers that wait have given up. A failure is not reported.
    pub(super) fn give_back_waiting(&self, key: Option<&str>, what: &GiveBack) {
        match (what.reason, what.operation) {
            (Reason::Abandoned, Operation::Release(slot, units)) => {
                self.release_by(&what.plans, key, slot, units);
            }
            (_, operation) => {
                let request = self.request(key, &what.plans, operation);
                self.store.correct_detached(&request, what.from_fallback);
            }
        }
    }

    /// Gives back the units of a call that has run, blocking the thread where the store does.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) fn give_back(
        &self,
        key: Option<&str>,
        slot: Reservation,
        units: u64,
    ) -> Result<(), Error> {
        let plans = self.plans();
        let request = self.request(key, &plans, Operation::Release(slot, units));
        self.store
            .correct(&request, slot.from_fallback)
            .map_err(|error| error.at(&self.name, key))?;
        self.given_back(key, &plans, slot, units);
        Ok(())
    }

    /// As [`Limiter::give_back`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Limiter::give_back`].
    pub(crate) async fn give_back_async(
        &self,
        key: Option<&str>,
        slot: Reservation,
        units: u64,
    ) -> Result<(), Error> {
        let plans = self.plans();
        let request = self.request(key, &plans, Operation::Release(slot, units));
        self.store
            .correct_async(request, slot.from_fallback)
            .await
            .map_err(|error| error.at(&self.name, key))?;
        self.given_back(key, &plans, slot, units);
        Ok(())
    }

    /// Takes units that a call has used beyond those that it took, blocking the thread where the store does.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) fn charge(
        &self,
        key: Option<&str>,
        charge: Operation,
        from_fallback: bool,
    ) -> Result<(), Error> {
        let plans = self.plans();
        self.store
            .correct(&self.request(key, &plans, charge), from_fallback)
            .map_err(|error| error.at(&self.name, key))
    }

    /// As [`Limiter::charge`], without blocking the thread.
    ///
    /// # Errors
    /// As for [`Limiter::charge`].
    pub(crate) async fn charge_async(
        &self,
        key: Option<&str>,
        charge: Operation,
        from_fallback: bool,
    ) -> Result<(), Error> {
        let plans = self.plans();
        let request = self.request(key, &plans, charge);
        let charged = self.store.correct_async(request, from_fallback).await;
        charged.map_err(|error| error.at(&self.name, key))
    }

    /// As [`Limiter::give_back`], in the background. A failure is not reported.
    pub(super) fn give_back_detached(&self, key: Option<&str>, slot: Reservation, units: u64) {
        let plans = self.plans();
        let request = self.request(key, &plans, Operation::Release(slot, units));
        self.store.correct_detached(&request, slot.from_fallback);
        self.given_back(key, &plans, slot, units);
    }

    /// As [`Limiter::charge`], in the background. A failure is not reported.
    pub(super) fn charge_detached(&self, key: Option<&str>, charge: Operation, slot: Reservation) {
        let plans = self.plans();
        let request = self.request(key, &plans, charge);
        self.store.correct_detached(&request, slot.from_fallback);
    }

    /// Lets those who wait move up, if the units are known to have been given back. That is not known of a
    /// store outside of the process, whose clock is another one. The last slot of a queue has none behind it.
    fn given_back(&self, key: Option<&str>, plans: &[Plan], slot: Reservation, units: u64) {
        let now = self.clock().now();
        let is_counted = self.is_immediate()
            && !self.is_queue
            && (0..plans.len()).all(|index| now < slot.until(index));
        if is_counted {
            self.refunded(key, units);
        } else {
            self.queues().notify(key);
        }
    }

    /// Lets those who wait under a key go on earlier, because units were given back.
    pub(crate) fn refunded(&self, key: Option<&str>, units: u64) {
        self.queues().advance(key, units);
        self.queues().notify(key);
    }

    /// Lets those who wait under a key ask again, because its state is gone.
    pub(crate) fn forgotten(&self, key: Option<&str>) {
        self.queues().ask_again(key);
        self.queues().notify(key);
    }

    /// Checks that a call of this cost can ever be admitted.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`].
    pub(crate) fn check_cost(&self, key: Option<&str>, cost: u64) -> Result<(), Error> {
        self.request(key, &self.plans(), Operation::Peek(cost))
            .check_cost(cost)
            .map_err(|error| error.at(&self.name, key))
    }

    /// The error for a call that has not been admitted although it might have waited this long.
    #[cold]
    pub(crate) fn refused(
        &self,
        key: Option<&str>,
        max_wait: MaxWait,
        retry_after: Duration,
    ) -> Error {
        match max_wait.time {
            WaitTime::None => self.denied(key, retry_after),
            WaitTime::AtMost(_) | WaitTime::Unbounded if self.may_wait_too(max_wait) => {
                self.too_late(key, retry_after)
            }
            WaitTime::AtMost(_) | WaitTime::Unbounded => self.too_many_waiting(key, max_wait),
        }
    }

    /// Whether one more call may wait.
    fn may_wait_too(&self, max_wait: MaxWait) -> bool {
        max_wait.calls.is_none() || self.queues().count().has_room(max_wait.calls)
    }

    /// The error for a call behind as many as may wait.
    #[cold]
    pub(super) fn too_many_waiting(&self, key: Option<&str>, max_wait: MaxWait) -> Error {
        Error::TooManyWaiting {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            max_waiting: max_wait.calls.unwrap_or(u64::MAX),
        }
    }

    /// The error for a denial.
    #[cold]
    pub(crate) fn denied(&self, key: Option<&str>, retry_after: Duration) -> Error {
        if !self.is_queue() {
            return self.too_late(key, retry_after);
        }
        Error::BucketFull {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            retry_after,
        }
    }

    /// The error for a wait that would take too long.
    pub(crate) fn too_late(&self, key: Option<&str>, retry_after: Duration) -> Error {
        Error::QuotaExceeded {
            function: Arc::clone(&self.name),
            key: key.map(Into::into),
            retry_after,
        }
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

    /// Records that a call waits, or waits no longer.
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

/// Checks the limits of a name.
///
/// # Errors
/// [`Error::Config`] when one is invalid, there is none, or they cannot be decided as one.
pub(crate) fn plans(name: &str, limits: &[Limit]) -> Result<Arc<[Plan]>, Error> {
    let plans = plans_of(limits)?;
    let Some(first) = plans.first() else {
        return Err(Error::config(format!("{name} has no limit")));
    };
    if plans.len() > 1 && limits.iter().any(|limit| limit.stated_lease().is_some()) {
        return Err(Error::config(format!(
            "{name} has {} limits: a lease is for one limit that decides alone",
            plans.len()
        )));
    }
    if plans.len() > Reservation::LIMITS && first.is_queue() {
        return Err(Error::config(format!(
            "{name} has {} limits: at most {} leaky buckets can be decided as one",
            plans.len(),
            Reservation::LIMITS
        )));
    }
    Ok(plans)
}
