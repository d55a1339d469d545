//! A limit as a value: what the attribute does, without the attribute.

mod binding;
mod calls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::binding::Binding;
use crate::config::builder::Config;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::limit::quota::Limit;
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::limiter::named::Limiter;
use crate::limiter::settling::{OnDrop, Settling};

/// A named limit to ask by hand.
///
/// Throttles of one name, keyspace and algorithm share their state, in one process and, on Redis,
/// across a fleet. Clones share it too. Every method has an `_async` form for async callers.
///
/// Defaults: a call costs 1 unit and does not wait.
///
/// # Many limits
/// There may be a throttle for each of many customers, created and dropped as they come and go. A throttle with one
/// key in memory takes about 1.1 KB with all features, half of it for its state, and less without `metrics`,
/// `tracing` and `dashboard`. Equal limits share 100 bytes of it, and a configuration of its own takes 130 bytes
/// more. A limit with the customer as its key takes 16 to 32 bytes for each customer, so it is the better choice
/// where all have one limit.
///
/// When the last throttle of a name is dropped, the name is no longer in [`limits::list`](crate::limits::list). The
/// units that it has taken are kept while they count. An exporter of metrics may keep its series.
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
/// // The throttle was dropped, but its units still count.
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
/// // Takes two units, then refunds one.
/// login.cost(2).acquire("alice")?;
/// login.refund("alice", 1)?;
/// assert_eq!(login.peek("alice")?.remaining, 3);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone)]
pub struct Throttle {
    binding: Arc<Binding>,
    cost: u64,
    max_wait: MaxWait,
    settling: Settling,
}

impl Throttle {
    /// Creates a limit of the process's configuration, which is looked up at the first decision.
    #[must_use]
    pub fn new(name: &str, limit: Limit) -> Self {
        Self::all(name, &[limit])
    }

    /// Creates several limits that decide as one: all admit, or nothing is taken.
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
        Self {
            binding: Arc::new(Binding::new(name.into(), limits, None)),
            cost: 1,
            max_wait: MaxWait::NONE,
            settling: Settling::default(),
        }
    }

    /// Creates a limit with a store of its own, or with a whole [`Config`] of its own: short for [`Throttle::new`]
    /// and [`Throttle::with_config`].
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

    /// Returns this limit with a configuration of its own instead of the process's. A store converts to a
    /// configuration with the defaults.
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
        self.rebound(&self.binding.limits(), Some(runtime))
    }

    /// Returns a throttle of this name and state with another limit, as when a limit changes at run time: consumed
    /// units stay consumed, and a higher rate counts from now on only.
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
        self.rebound(&[limit], self.binding.runtime.clone())
    }

    /// Returns this limit for calls that cost `units`. A cost of 0 asks without taking. Default: 1.
    #[must_use]
    pub fn cost(&self, units: u64) -> Self {
        self.with(|throttle| throttle.cost = units)
    }

    /// Returns this limit for calls that wait up to `longest` in [`Throttle::acquire`], first come first served. A
    /// wait that cannot succeed fails at once. Default: calls do not wait.
    #[must_use]
    pub fn wait_at_most(&self, longest: Duration) -> Self {
        self.with(|throttle| throttle.max_wait.time = WaitTime::AtMost(longest))
    }

    /// Returns this limit for calls that wait in [`Throttle::acquire`] until they are admitted. Default: calls do not
    /// wait.
    #[must_use]
    pub fn wait(&self) -> Self {
        self.with(|throttle| throttle.max_wait.time = WaitTime::Unbounded)
    }

    /// Lets at most `calls` calls of this limit wait at a time in this process, under all keys together.
    /// Default: without limit.
    ///
    /// A further call fails with [`Error::TooManyWaiting`], also if it would wait for its slot in a leaky bucket.
    /// Calls through other clones of the limit count, whatever their own maximum.
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
        self.with(|throttle| throttle.max_wait.calls = Some(calls))
    }

    /// Lets a key owe at most `units` after [`Permit::settle`](crate::Permit::settle) has charged more than was
    /// taken. Default: one capacity of the limit, of several limits that of each. With 0 it owes nothing.
    ///
    /// The slots of waiters of a bucket count as owed.
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
        self.with(|throttle| throttle.settling.max_debt = Some(units))
    }

    /// Sets what happens to the units of a [`Permit`](crate::Permit) that is dropped before it has been settled or
    /// refunded. Default: [`OnDrop::Keep`].
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
        self.with(|throttle| throttle.settling.on_drop = on_drop)
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut throttle = self.clone();
        change(&mut throttle);
        throttle
    }

    fn rebound(&self, limits: &[Limit], runtime: Option<Arc<Runtime>>) -> Self {
        let name = Arc::clone(&self.binding.name);
        let binding = Binding::new(name, limits, runtime);
        self.with(|throttle| throttle.binding = Arc::new(binding))
    }

    #[inline]
    pub(crate) fn limiter(&self) -> Result<&Arc<Limiter>, Error> {
        self.binding.limiter()
    }
}

#[cfg(feature = "tower")]
impl Throttle {
    pub(crate) fn name(&self) -> &str {
        &self.binding.name
    }

    /// Whether the limits, and the throttle's own configuration, can be used.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is invalid.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.binding.validate()
    }

    /// The limiter of the process, once it is bound.
    pub(crate) fn bound(&self) -> Option<&Arc<Limiter>> {
        self.binding.bound()
    }

    /// Whether an admitted call may have to wait for its slot.
    pub(crate) fn is_queue(&self) -> bool {
        let limits = self.binding.limits();
        limits.iter().any(|limit| limit.algo().is_queue())
    }

    /// The number of limits that decide as one.
    pub(crate) fn limits(&self) -> usize {
        self.binding.limits().len()
    }

    pub(crate) fn max_wait(&self) -> MaxWait {
        self.max_wait
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Throttle")
            .field("name", &self.binding.name)
            .field("limits", &self.binding.limits())
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}
