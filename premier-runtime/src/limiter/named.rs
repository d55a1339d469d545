//! A named limit bound to a handler: what call sites and throttles decide through.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::max_wait::MaxWait;
use super::replaceable::Replaceable;
use crate::algorithms::Plan;
use crate::clock::SteadyClock;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::full::Key;
use crate::key::subject::Subject;
use crate::limit::decision::{Decision, Reservation};
use crate::limit::quota::Limit;
use crate::limiter::overrides;
use crate::limiter::wait_queue::WaitQueues;
use crate::store::handler::Handler;
use crate::store::memory::{self, Bucket, Keys, MemoryHandler, Table, Verdict, as_memory};
use crate::store::outage;
use crate::store::outage::OnBackendError;
use crate::store::request::{BoxFuture, Operation, Request};
use crate::telemetry::{Outcome, Telemetry, Timer};

const ON_THE_SPOT: Duration = Duration::from_nanos(memory::ON_THE_SPOT);

/// A named limit bound to a handler.
#[derive(Debug)]
pub(crate) struct Limiter {
    function: Arc<str>,
    prefix: Box<str>,
    store: Store,
    rules: Replaceable<Rules>,
    telemetry: Telemetry,
    queues: Arc<WaitQueues>,
}

/// What decides; it may change at run time.
#[derive(Debug)]
struct Rules {
    plans: Box<[Plan]>,
    shortest: Option<Shortest>,
}

/// The shortest ways to admit a call, for a single limit in memory.
#[derive(Debug)]
struct Shortest {
    /// Without a key.
    bucket: Option<Bucket>,
    /// With one.
    keys: Keys,
}

impl Rules {
    fn new(plans: Box<[Plan]>, store: &Store) -> Self {
        let shortest = match (store, &*plans) {
            (Store::Memory(_, table), [plan]) => Some(Shortest {
                bucket: table.bucket(plan),
                keys: table.keys(plan),
            }),
            _ => None,
        };
        Self { plans, shortest }
    }
}

fn plans(path: &str, limits: &[Limit]) -> Result<Box<[Plan]>, Error> {
    let plans: Box<[Plan]> = limits
        .iter()
        .copied()
        .map(Plan::new)
        .collect::<Result<_, _>>()?;
    let Some(first) = plans.first() else {
        return Err(Error::config(format!("{path} has no limit")));
    };
    if plans.len() > Reservation::LIMITS
        && first.limit().algo() == crate::limit::algo::Algo::LeakyBucket
    {
        return Err(Error::config(format!(
            "{path} has {} limits: at most {} leaky buckets can be decided as one",
            plans.len(),
            Reservation::LIMITS
        )));
    }
    Ok(plans)
}

#[derive(Debug)]
enum Store {
    Memory(MemoryHandler, Arc<Table>),
    Other {
        handler: Arc<dyn Handler>,
        policy: OnBackendError,
        fallback: (MemoryHandler, Arc<Table>),
        clock: SteadyClock,
    },
}

impl Store {
    /// Tells limits of equal prefix in different stores apart.
    fn id(&self) -> usize {
        match self {
            Self::Memory(memory, _) => memory.id(),
            Self::Other { handler, .. } => Arc::as_ptr(handler).addr(),
        }
    }
}

impl Limiter {
    /// `path` is the function with its module, as it stands in keys and messages.
    pub(crate) fn new(runtime: &Runtime, path: &str, limits: &[Limit]) -> Result<Arc<Self>, Error> {
        runtime.validate()?;
        let plans = plans(path, limits)?;
        let algo = limits.first().map_or_else(Default::default, Limit::algo);
        let prefix = format!("{}:{path}:{algo}", runtime.keyspace());
        let bind = |memory: &MemoryHandler| (memory.clone(), memory.table(&prefix, &plans));
        let handler = runtime.handler();
        let store = match as_memory(&**handler) {
            Some(memory) => {
                let (memory, table) = bind(memory);
                Store::Memory(memory, table)
            }
            None => Store::Other {
                handler: Arc::clone(handler),
                policy: runtime.on_backend_error(),
                fallback: bind(runtime.fallback()),
                clock: runtime.clock().clone(),
            },
        };
        let function: Arc<str> = path.into();
        let limiter = Arc::new(Self {
            telemetry: Telemetry::new(&function, algo, runtime),
            function,
            queues: WaitQueues::shared(store.id(), &prefix),
            prefix: prefix.into(),
            rules: Replaceable::new(Rules::new(plans, &store)),
            store,
        });
        overrides::register(&limiter);
        Ok(limiter)
    }

    pub(crate) fn function(&self) -> &Arc<str> {
        &self.function
    }

    /// Tells of a decision.
    #[inline]
    pub(crate) fn told(&self, user: Option<Subject<'_>>, outcome: Outcome) {
        self.telemetry.decided(user, outcome);
    }

    /// Tells of a decision that was asked for by its text.
    #[inline]
    pub(crate) fn tell<T>(
        &self,
        user: Option<&str>,
        result: Result<T, Error>,
        allowed: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let outcome = Outcome::of(result.as_ref().map(allowed));
        self.told(user.map(Subject::Text), outcome);
        result
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What keeps the state, and whether it can be reached, if it tells.
    #[cfg(feature = "dashboard")]
    pub(crate) fn store(&self) -> (&'static str, Option<bool>) {
        match &self.store {
            Store::Memory(..) => ("memory", None),
            Store::Other { handler, .. } => (handler.name(), handler.is_up()),
        }
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        &self.rules.get().plans
    }

    pub(crate) fn limits(&self) -> Vec<Limit> {
        self.plans().iter().map(|plan| *plan.limit()).collect()
    }

    /// Whether [`Limiter::change`] can be made.
    pub(crate) fn check_change(&self, limits: &[Limit]) -> Result<(), Error> {
        self.changed(limits).map(drop)
    }

    /// Decides by other limits from now on. The state stays what it is.
    pub(crate) fn change(&self, limits: &[Limit]) -> Result<(), Error> {
        let plans = self.changed(limits)?;
        if *plans != *self.plans() {
            let (Store::Memory(_, table)
            | Store::Other {
                fallback: (_, table),
                ..
            }) = &self.store;
            table.register(&plans);
            overrides::note_change();
            self.rules.replace(Rules::new(plans, &self.store));
        }
        Ok(())
    }

    /// Decides by what it began with.
    pub(crate) fn restore(&self) {
        let first = &self.rules.first().plans;
        if **first != *self.plans() {
            overrides::note_change();
            self.rules.replace(Rules::new(first.clone(), &self.store));
        }
    }

    fn changed(&self, limits: &[Limit]) -> Result<Box<[Plan]>, Error> {
        let first = &self.rules.first().plans;
        let algo = |plan: &Plan| plan.limit().algo();
        let plans = plans(&self.function, limits)?;
        if plans.len() != first.len() {
            return Err(Error::config(format!(
                "{} limits cannot stand for {}, for the state of each is kept",
                plans.len(),
                first.len()
            )));
        }
        for (plan, before) in plans.iter().zip(first) {
            if algo(plan) != algo(before) {
                return Err(Error::config(format!(
                    "{} cannot stand for {}, whose state is another",
                    algo(plan),
                    algo(before)
                )));
            }
        }
        Ok(plans)
    }

    /// The callers that wait for this limit.
    pub(crate) fn queues(&self) -> &WaitQueues {
        &self.queues
    }

    pub(crate) fn clock(&self) -> &SteadyClock {
        match &self.store {
            Store::Memory(_, table) => table.clock(),
            Store::Other { clock, .. } => clock,
        }
    }

    /// Whether operations complete without waiting for anything outside the process.
    pub(crate) const fn is_immediate(&self) -> bool {
        matches!(self.store, Store::Memory(..))
    }

    /// Admits or refuses a call by the shortest way there is, if there is one.
    #[inline]
    pub(crate) fn admit(&self, user: Option<Subject<'_>>, cost: u64, max_wait: MaxWait) -> Verdict {
        // Whoever may wait does not overtake those who do.
        if max_wait != MaxWait::None && !self.queues.is_empty() {
            return Verdict::Unknown;
        }
        let verdict = match (user, &self.rules.get().shortest) {
            (
                None,
                Some(Shortest {
                    bucket: Some(bucket),
                    ..
                }),
                // Who waits for less than what is waited on the spot is not made to.
            ) if !matches!(max_wait, MaxWait::AtMost(longest) if longest < ON_THE_SPOT) => {
                bucket.admit(cost)
            }
            _ => self.admit_elsewhere(user, cost),
        };
        match verdict {
            Verdict::Denied(_) if max_wait != MaxWait::None => Verdict::Unknown,
            verdict => verdict,
        }
    }

    /// The shortest way to admit a call without a key, by the limit as it is now.
    pub(crate) fn bucket(&self) -> Option<Bucket> {
        self.rules.get().shortest.as_ref()?.bucket.clone()
    }

    /// The shortest way to admit a call with a key, by the limit as it is now.
    pub(crate) fn keys(&self) -> Option<Keys> {
        Some(self.rules.get().shortest.as_ref()?.keys.clone())
    }

    /// The same for one who wants to know what is left, where there is a short way to it.
    #[cfg(feature = "tower")]
    pub(crate) fn brief(&self, user: &str, cost: u64) -> Option<crate::limit::decision::Brief> {
        let shortest = self.rules.get().shortest.as_ref()?;
        shortest.keys.brief(Subject::Text(user), cost)
    }

    // Apart, so that the way above stays short.
    #[inline(never)]
    fn admit_elsewhere(&self, user: Option<Subject<'_>>, cost: u64) -> Verdict {
        let Some(Shortest { keys, .. }) = &self.rules.get().shortest else {
            return Verdict::Unknown;
        };
        match user {
            Some(user) => keys.admit(user, cost),
            None => keys.admit_keyless(cost),
        }
    }

    /// The error for a denial by [`Limiter::admit`], which queues never make.
    #[cold]
    pub(crate) fn denied_for(&self, user: Option<&str>, nanos: u64) -> Error {
        self.too_late(user, Duration::from_nanos(nanos))
    }

    /// Formats the key and carries the operation out.
    pub(crate) fn handle_key<K: Display + ?Sized>(
        &self,
        key: Option<&K>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        match key {
            None => self.handle(None, operation),
            Some(key) => self.handle(Some(KeyBuffer::format(key).as_str()), operation),
        }
    }

    #[inline]
    pub(crate) fn handle(
        &self,
        user: Option<&str>,
        operation: Operation,
    ) -> Result<Decision, Error> {
        let request = self.request(user, operation);
        let result = match &self.store {
            Store::Memory(memory, table) => memory.handle_in(table, &request),
            Store::Other { handler, .. } => {
                let timer = Timer::start();
                let result = handler.handle(&request);
                timer.stop(&result);
                result.or_else(|error| self.without_store(&request, error))
            }
        };
        result.map_err(|error| error.at(&self.function, user))
    }

    pub(crate) fn handle_async<'a>(
        &'a self,
        user: Option<&'a str>,
        operation: Operation,
    ) -> BoxFuture<'a, Result<Decision, Error>> {
        let Store::Other { handler, .. } = &self.store else {
            return Box::pin(std::future::ready(self.handle(user, operation)));
        };
        Box::pin(async move {
            let request = self.request(user, operation);
            let timer = Timer::start();
            let result = handler.handle_async(request).await;
            timer.stop(&result);
            result
                .or_else(|error| self.without_store(&request, error))
                .map_err(|error| error.at(&self.function, user))
        })
    }

    /// Takes without blocking; in memory there is nothing to wait for.
    pub(crate) async fn take_async(
        &self,
        user: Option<&str>,
        cost: u64,
    ) -> Result<Decision, Error> {
        let take = Operation::Take(cost);
        if self.is_immediate() {
            self.handle(user, take)
        } else {
            self.handle_async(user, take).await
        }
    }

    /// Gives back the slot of a caller that no longer waits for it. Nobody hears of a failure: the
    /// slot then simply passes unused.
    pub(crate) fn release(&self, user: Option<&str>, slot: Reservation, units: u64) {
        let release = Operation::Release(slot, units);
        match &self.store {
            Store::Memory(memory, table) => {
                let _ = memory.handle_in(table, &self.request(user, release));
            }
            Store::Other {
                fallback: (memory, table),
                ..
            } if slot.stood_in => {
                let _ = memory.handle_in(table, &self.request(user, release));
            }
            Store::Other { handler, .. } => handler.handle_detached(&self.request(user, release)),
        }
        self.queues.notify(user);
    }

    /// Refuses a cost that can never be admitted.
    pub(crate) fn check_cost(&self, user: Option<&str>, cost: u64) -> Result<(), Error> {
        self.request(user, Operation::Peek(cost))
            .check_cost(cost)
            .map_err(|error| error.at(&self.function, user))
    }

    /// The error for a denial.
    pub(crate) fn denied(&self, user: Option<&str>, decision: &Decision) -> Error {
        let (function, key) = (Arc::clone(&self.function), user.map(Into::into));
        let retry_after = decision.retry_after;
        if self
            .plans()
            .iter()
            .any(|plan| plan.limit().algo() == crate::limit::algo::Algo::LeakyBucket)
        {
            Error::BucketFull {
                function,
                key,
                retry_after,
            }
        } else {
            Error::QuotaExceeded {
                function,
                key,
                retry_after,
            }
        }
    }

    /// The error for a wait that would take too long.
    pub(crate) fn too_late(&self, user: Option<&str>, retry_after: Duration) -> Error {
        Error::QuotaExceeded {
            function: Arc::clone(&self.function),
            key: user.map(Into::into),
            retry_after,
        }
    }

    fn request<'a>(&'a self, user: Option<&'a str>, operation: Operation) -> Request<'a> {
        Request {
            key: Key::new(&self.prefix, user),
            plans: self.plans(),
            operation,
        }
    }

    /// What the configured policy makes of an outage. Other errors stay as they are.
    fn without_store(&self, request: &Request<'_>, error: Error) -> Result<Decision, Error> {
        let Store::Other {
            policy, fallback, ..
        } = &self.store
        else {
            return Err(error);
        };
        if !matches!(error, Error::Backend { .. }) {
            return Err(error);
        }
        outage::count(*policy);
        match policy {
            OnBackendError::Deny => Err(error),
            OnBackendError::Allow => {
                let limit = request
                    .plans
                    .iter()
                    .map(Plan::capacity)
                    .min()
                    .unwrap_or_default();
                Ok(Decision {
                    remaining: limit,
                    ..Decision::new(limit)
                })
            }
            OnBackendError::Memory => {
                let mut decision = fallback.0.handle_in(&fallback.1, request)?;
                decision.reservation.stood_in = true;
                Ok(decision)
            }
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        overrides::forget(&self.function);
    }
}
