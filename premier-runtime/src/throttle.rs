//! A limit as a value: what the attribute does, without the attribute.

use std::any::TypeId;
use std::fmt::{self, Display};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::algorithms::Plan;
use crate::config::builder::Config;
use crate::config::runtime::Runtime;
use crate::config::scope::{self, Scope};
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::subject::{Subject, with_subject_of};
use crate::limit::decision::Decision;
use crate::limit::quota::Limit;
use crate::limiter::acquire::{acquire, acquire_async};
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::limiter::named::{Limiter, plans};
use crate::limiter::overrides;
use crate::limiter::settling::{OnDrop, Settling};
use crate::limiter::taken::Taken;
use crate::permit::Permit;
use crate::store::request::Operation;

/// A named limit to ask by hand.
///
/// Throttles of one name, keyspace and algorithm share their state, in one process and, on Redis,
/// across a fleet. Clones share it too. Every method has an `_async` form for async callers.
///
/// Defaults: a call costs 1 unit and does not wait.
///
/// # Many limits
/// There may be a throttle for each of many customers, made and dropped as they come and go. One with
/// one key in memory takes about 1.1 KB with all features, half of it for its state, and less without
/// `metrics`, `tracing` and `dashboard`. Equal limits share 100 bytes of it, and a configuration of its own
/// takes 130 bytes more. A limit with the customer as its key takes 16 to 32 bytes for each
/// of them, so it is the better choice where all customers have the same limit.
///
/// When the last throttle of a name is dropped, it is no longer in [`limits::list`](crate::limits::list),
/// and what it has taken is kept for as long as it counts. An exporter of metrics may keep its series.
///
/// ```
/// use premier::{Limit, MemoryHandler, Throttle};
/// use std::time::Duration;
///
/// let handler = MemoryHandler::new();
/// let uploads = |customer: &str, quota| {
///     let limit = Limit::fixed_window(quota, Duration::from_secs(60));
///     Throttle::new(&format!("uploads of {customer}"), limit).with_config(handler.clone())
/// };
/// assert!(uploads("acme", 1).check("alice")?.allowed);
/// // The throttle is gone, what it has taken is not.
/// assert!(!uploads("acme", 1).check("alice")?.allowed);
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # Example
/// ```
/// use premier::{Limit, Throttle};
/// use std::time::Duration;
///
/// let login = Throttle::new("login", Limit::fixed_window(5, Duration::from_secs(60)));
/// let decision = login.check("alice")?;
/// assert!(decision.allowed);
/// assert_eq!(decision.remaining, 4);
///
/// // Two at once, then one given back.
/// login.cost(2).acquire("alice")?;
/// login.refund("alice", 1)?;
/// assert_eq!(login.peek("alice")?.remaining, 3);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone)]
pub struct Throttle {
    shared: Arc<Shared>,
    cost: u64,
    max_wait: MaxWait,
    settling: Settling,
}

struct Shared {
    name: Arc<str>,
    limits: Stated,
    limiter: OnceLock<Arc<Limiter>>,
    /// The throttle's own configuration; the process's when there is none.
    runtime: Option<Arc<Runtime>>,
}

/// The limits of the throttle as its limiter has them, which share their memory.
enum Stated {
    Valid(Arc<[Plan]>),
    /// An error at the first decision.
    Invalid(Box<[Limit]>),
}

impl Stated {
    fn new(name: &str, limits: &[Limit]) -> Self {
        match plans(name, limits) {
            Ok(plans) => Self::Valid(plans),
            Err(_) => Self::Invalid(limits.into()),
        }
    }

    fn limits(&self) -> Vec<Limit> {
        match self {
            Self::Valid(plans) => plans.iter().map(|plan| *plan.limit()).collect(),
            Self::Invalid(limits) => limits.to_vec(),
        }
    }

    fn plans(&self, name: &str) -> Result<Arc<[Plan]>, Error> {
        match self {
            Self::Valid(plans) => Ok(Arc::clone(plans)),
            Self::Invalid(limits) => plans(name, limits),
        }
    }
}

impl Throttle {
    /// A limit of the process's configuration, which is looked up at the first decision.
    #[must_use]
    pub fn new(name: &str, limit: Limit) -> Self {
        Self::build(name.into(), &[limit], None)
    }

    /// Several limits decided as one: all admit, or nothing is taken.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let per_second = Limit::token_bucket(5, Duration::from_secs(1));
    /// let per_minute = Limit::token_bucket(100, Duration::from_secs(60));
    /// let search = Throttle::all("search", &[per_second, per_minute]);
    /// assert_eq!(search.check("alice")?.remaining, 4);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn all(name: &str, limits: &[Limit]) -> Self {
        Self::build(name.into(), limits, None)
    }

    /// A limit with a store of its own, or with a whole [`Config`] of its own: short for [`Throttle::new`] and
    /// [`Throttle::with_config`].
    ///
    /// ```
    /// use premier::{Limit, MemoryHandler, Throttle};
    /// use std::time::Duration;
    ///
    /// let limit = Limit::fixed_window(5, Duration::from_secs(60));
    /// let login = Throttle::with_handler(MemoryHandler::new(), "login", limit);
    /// assert_eq!(login.check("alice")?.remaining, 4);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn with_handler(handler: impl Into<Config>, name: &str, limit: Limit) -> Self {
        Self::new(name, limit).with_config(handler)
    }

    /// This limit with a configuration of its own, apart from the process's. A store is one:
    /// the defaults with that store.
    ///
    /// ```
    /// use premier::{Limit, MemoryHandler, Throttle};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let limits = [Limit::fixed_window(5, minute), Limit::token_bucket(100, minute)];
    /// let search = Throttle::all("search", &limits).with_config(MemoryHandler::new());
    /// assert_eq!(search.check("alice")?.remaining, 4);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn with_config(&self, config: impl Into<Config>) -> Self {
        let runtime = Arc::new(Runtime::new(config.into()));
        Self {
            cost: self.cost,
            max_wait: self.max_wait,
            settling: self.settling,
            ..Self::build(
                Arc::clone(&self.shared.name),
                &self.shared.limits.limits(),
                Some(runtime),
            )
        }
    }

    /// The state of this throttle under another limit, as when a limit changes at run time: what
    /// has been consumed stays consumed, and a higher rate counts from now on only.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let mut upload = Throttle::new("upload", Limit::fixed_window(2, minute));
    /// upload.cost(2).acquire("alice")?;
    /// upload = upload.with_limit(Limit::fixed_window(5, minute));
    /// assert_eq!(upload.peek("alice")?.remaining, 3);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn with_limit(&self, limit: Limit) -> Self {
        let Shared { name, runtime, .. } = &*self.shared;
        Self {
            cost: self.cost,
            max_wait: self.max_wait,
            settling: self.settling,
            ..Self::build(Arc::clone(name), &[limit], runtime.clone())
        }
    }

    /// The same limit for calls that cost `units`. A cost of 0 asks without taking.
    #[must_use]
    pub fn cost(&self, units: u64) -> Self {
        Self {
            cost: units,
            ..self.clone()
        }
    }

    /// The same limit for calls that wait up to `longest` in [`Throttle::acquire`], first come
    /// first served. A wait that cannot succeed fails at once.
    #[must_use]
    pub fn wait_at_most(&self, longest: Duration) -> Self {
        Self {
            max_wait: MaxWait {
                time: WaitTime::AtMost(longest),
                ..self.max_wait
            },
            ..self.clone()
        }
    }

    /// The same limit for calls that wait in [`Throttle::acquire`] until they are admitted.
    #[must_use]
    pub fn wait(&self) -> Self {
        Self {
            max_wait: MaxWait {
                time: WaitTime::Unbounded,
                ..self.max_wait
            },
            ..self.clone()
        }
    }

    /// Lets at most `calls` calls of this limit wait at a time in this process, under all keys together.
    /// Default: without limit.
    ///
    /// A call beyond it fails with [`Error::TooManyWaiting`], also one that would wait for its slot in a leaky
    /// bucket. Calls through other clones of the limit count, whatever their own maximum.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let api = Throttle::new("api", Limit::token_bucket(10, Duration::from_secs(1)));
    /// let api = api.wait_at_most(Duration::from_secs(2)).max_waiting(1_000);
    /// api.acquire("alice")?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn max_waiting(&self, calls: u64) -> Self {
        let max_wait = MaxWait {
            calls: Some(calls),
            ..self.max_wait
        };
        Self {
            max_wait,
            ..self.clone()
        }
    }

    /// Lets a key owe at most `units` after [`Permit::settle`] has charged more than was taken. Default: one
    /// capacity of the limit, of several limits that of each. With 0 it owes nothing.
    ///
    /// The slots of callers that wait for a bucket count as owed.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let tokens = Throttle::new("tokens", Limit::fixed_window(100, minute)).max_debt(250);
    /// tokens.cost(100).acquire("alice")?.settle(350)?;
    /// // Two windows are used up by the debt, and half of a third one.
    /// assert!(tokens.check("alice")?.retry_after > 2 * minute);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn max_debt(&self, units: u64) -> Self {
        let settling = Settling {
            max_debt: Some(units),
            ..self.settling
        };
        Self {
            settling,
            ..self.clone()
        }
    }

    /// Sets what happens to the units of a [`Permit`] that is dropped before it has been settled or refunded.
    /// Default: [`OnDrop::Keep`].
    ///
    /// ```
    /// use premier::{Limit, OnDrop, Throttle};
    /// use std::time::Duration;
    ///
    /// let jobs = Throttle::new("jobs", Limit::token_bucket(10, Duration::from_secs(3_600)));
    /// let permit = jobs.on_drop(OnDrop::Refund).cost(4).acquire("alice")?;
    /// // The job did not come to its end.
    /// drop(permit);
    /// assert_eq!(jobs.peek("alice")?.remaining, 10);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn on_drop(&self, on_drop: OnDrop) -> Self {
        let settling = Settling {
            on_drop,
            ..self.settling
        };
        Self {
            settling,
            ..self.clone()
        }
    }

    /// Decides, and takes the cost if it is admitted. A denial is a [`Decision`], not an error. On
    /// a leaky bucket the caller has to wait for [`Decision::delay`] itself.
    ///
    /// # Errors
    /// [`Error::CostExceedsCapacity`], [`Error::TooManyKeys`], [`Error::Backend`],
    /// [`Error::Config`].
    pub fn check<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let limiter = self.limiter()?;
        with_subject_of(key, |key| {
            let decided = limiter.take(Some(&key), self.cost);
            limiter.recorded(Some(&key), decided, |decision| decision.allowed)
        })
    }

    /// As [`Throttle::check`] for async callers.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub async fn check_async<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let (limiter, key) = (self.limiter()?, key.to_string());
        let decided = limiter.take_async(Some(&key), self.cost).await;
        limiter.recorded(Some(&Subject::Text(&key)), decided, |decision| {
            decision.allowed
        })
    }

    /// Takes the cost, waiting for the slot of a leaky bucket, and as long as
    /// [`Throttle::wait_at_most`] or [`Throttle::wait`] say. The [`Permit`] may be dropped: the units stay
    /// taken.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`] or [`Error::BucketFull`] when not admitted, and those of
    /// [`Throttle::check`].
    pub fn acquire<K: Display + ?Sized>(&self, key: &K) -> Result<Permit, Error> {
        let limiter = self.limiter()?;
        let key = KeyBuffer::format(key);
        let decision = acquire(limiter, Some(key.as_str()), self.cost, self.max_wait)?;
        Ok(self.permit(limiter, key, decision))
    }

    /// As [`Throttle::acquire`] for async callers. Dropping the future takes nothing.
    ///
    /// # Errors
    /// As for [`Throttle::acquire`].
    pub async fn acquire_async<K: Display + ?Sized>(&self, key: &K) -> Result<Permit, Error> {
        let limiter = self.limiter()?;
        let key = KeyBuffer::format(key);
        let acquired = acquire_async(limiter, Some(key.as_str()), self.cost, self.max_wait);
        let decision = acquired.await?;
        Ok(self.permit(limiter, key, decision))
    }

    /// Decides as [`Throttle::check`] does and takes nothing.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub fn peek<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        self.handle(key, Operation::Peek(self.cost))
    }

    /// As [`Throttle::peek`] for async callers.
    ///
    /// # Errors
    /// As for [`Throttle::check`].
    pub async fn peek_async<K: Display + ?Sized>(&self, key: &K) -> Result<Decision, Error> {
        let key = key.to_string();
        self.handle_async(&key, Operation::Peek(self.cost)).await
    }

    /// Forgets a key: its next call finds a fresh limit.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub fn reset<K: Display + ?Sized>(&self, key: &K) -> Result<(), Error> {
        self.handle(key, Operation::Reset).map(drop)?;
        self.limiter()?.forgotten(Some(&key.to_string()));
        Ok(())
    }

    /// As [`Throttle::reset`] for async callers.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub async fn reset_async<K: Display + ?Sized>(&self, key: &K) -> Result<(), Error> {
        let key = key.to_string();
        self.handle_async(&key, Operation::Reset).await.map(drop)?;
        self.limiter()?.forgotten(Some(&key));
        Ok(())
    }

    /// Gives `units` back, at most as many as are taken. [`Permit::refund`] gives back those of one call.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub fn refund<K: Display + ?Sized>(&self, key: &K, units: u64) -> Result<(), Error> {
        self.handle(key, Operation::Refund(units)).map(drop)?;
        self.limiter()?.refunded(Some(&key.to_string()), units);
        Ok(())
    }

    /// As [`Throttle::refund`] for async callers.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Config`].
    pub async fn refund_async<K: Display + ?Sized>(
        &self,
        key: &K,
        units: u64,
    ) -> Result<(), Error> {
        let key = key.to_string();
        self.handle_async(&key, Operation::Refund(units))
            .await
            .map(drop)?;
        self.limiter()?.refunded(Some(&key), units);
        Ok(())
    }

    fn permit(&self, limiter: &Arc<Limiter>, key: KeyBuffer, decision: Decision) -> Permit {
        let taken = Taken::new(limiter, Some(key), self.cost, &decision, self.settling);
        Permit::new(taken, decision)
    }

    fn build(name: Arc<str>, limits: &[Limit], runtime: Option<Arc<Runtime>>) -> Self {
        let shared = Shared {
            limits: Stated::new(&name, limits),
            name,
            limiter: OnceLock::new(),
            runtime,
        };
        Self {
            shared: Arc::new(shared),
            cost: 1,
            max_wait: MaxWait::NONE,
            settling: Settling::default(),
        }
    }

    #[cfg(feature = "tower")]
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether the limits, and the throttle's own configuration, can be used.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is invalid.
    #[cfg(feature = "tower")]
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if let Some(runtime) = &self.shared.runtime {
            runtime.validate()?;
        }
        let Shared { name, limits, .. } = &*self.shared;
        limits.plans(name).map(drop)
    }

    /// The limit, once it has been used.
    #[cfg(feature = "tower")]
    pub(crate) fn bound(&self) -> Option<&Arc<Limiter>> {
        self.shared.limiter.get()
    }

    /// Whether an admitted call may have to wait for its slot.
    #[cfg(feature = "tower")]
    pub(crate) fn is_queue(&self) -> bool {
        self.shared
            .limits
            .limits()
            .iter()
            .any(|limit| limit.algo() == crate::limit::algo::Algo::LeakyBucket)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn limits(&self) -> usize {
        self.shared.limits.limits().len()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn max_wait(&self) -> MaxWait {
        self.max_wait
    }

    #[inline]
    pub(crate) fn limiter(&self) -> Result<&Arc<Limiter>, Error> {
        if let Some(scope) = scope::current()
            && self.shared.runtime.is_none()
        {
            return self.limiter_in(scope);
        }
        match self.shared.limiter.get() {
            Some(limiter) => Ok(limiter),
            None => self.bind(),
        }
    }

    /// The limiter that belongs to a scope.
    fn limiter_in(&self, scope: &'static Scope) -> Result<&Arc<Limiter>, Error> {
        let Shared { name, limits, .. } = &*self.shared;
        let key = (Arc::as_ptr(&self.shared).addr(), TypeId::of::<Limiter>());
        let (bound, _) = scope.value(key, || {
            let plans = limits.plans(name)?;
            let limiter = overrides::bind(Runtime::global(), Arc::clone(name), plans)?;
            // Kept, so that no other throttle gets its address.
            Ok::<_, Error>((limiter, Arc::clone(&self.shared)))
        })?;
        Ok(&bound.0)
    }

    #[cold]
    fn bind(&self) -> Result<&Arc<Limiter>, Error> {
        let Shared {
            name,
            limits,
            limiter,
            runtime,
        } = &*self.shared;
        let runtime = runtime.as_deref().unwrap_or_else(|| Runtime::global());
        // Made before a lock is taken, as in `Site::bind`. Limiters of one name share their state.
        let bound = overrides::bind(runtime, Arc::clone(name), limits.plans(name)?)?;
        Ok(limiter.get_or_init(|| bound))
    }

    fn handle<K: Display + ?Sized>(
        &self,
        key: &K,
        operation: Operation,
    ) -> Result<Decision, Error> {
        let key = KeyBuffer::format(key);
        self.limiter()?.handle(Some(key.as_str()), operation)
    }

    async fn handle_async(&self, key: &str, operation: Operation) -> Result<Decision, Error> {
        self.limiter()?.handle_async(Some(key), operation).await
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Throttle")
            .field("name", &self.shared.name)
            .field("limits", &self.shared.limits.limits())
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}
