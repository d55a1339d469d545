//! The error type of the crate.

mod backend_source;
mod constructors;
mod escaped_key;
mod io_error;

use std::sync::Arc;
use std::time::Duration;

pub use self::backend_source::BackendSource;
#[cfg(any(feature = "dashboard", feature = "tracing"))]
pub(crate) use self::escaped_key::EscapedKey;
use self::escaped_key::ForKey;

/// The error of every operation in this crate, and of calls that an attribute rejects.
///
/// Messages name the function, the key and, where it is known, when to retry. Keys in messages are
/// escaped and cut after 64 characters, so that a key chosen by a client cannot break a log line.
///
/// When an annotated function returns a `Result`, its error type must implement
/// `From<premier::Error>`. `Box<dyn std::error::Error + Send + Sync>` and [`std::io::Error`] do.
///
/// ```
/// use premier::{Error, Limit, Throttle};
/// use std::time::Duration;
///
/// let login = Throttle::new("login", Limit::fixed_window(1, Duration::from_secs(60)));
/// login.acquire("alice")?;
/// match login.acquire("alice") {
///     Err(Error::QuotaExceeded { retry_after, .. }) => assert!(retry_after.as_secs() >= 59),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// [`premier::config`](crate::config) was called twice, or after an annotated function had
    /// already used the default configuration. The first configuration stays in force.
    #[error(
        "premier is already configured: call premier::config once, in main, before the first annotated function runs"
    )]
    AlreadyConfigured,
    /// The store could not decide: the connection was lost, the call timed out, or the reply could
    /// not be read.
    #[error("{store} did not decide about {function}{}: {message}", ForKey(key))]
    #[non_exhaustive]
    Backend {
        /// The name of the store, such as `redis`.
        store: &'static str,
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// The reason.
        message: Arc<str>,
        /// What the driver of the store reported, if there is such an error. [`std::error::Error::source`]
        /// returns it, so that it can be downcast.
        source: Option<BackendSource>,
    },
    /// The queue of a leaky bucket is full.
    #[error(
        "the queue of {function}{} is full: retry after {retry_after:?}",
        ForKey(key)
    )]
    #[non_exhaustive]
    BucketFull {
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// How long until the queue has room for the call.
        retry_after: Duration,
    },
    /// The circuit breaker of the function is open because the function failed too often.
    #[error(
        "the circuit breaker of {function}{} is open: retry after {retry_after:?}",
        ForKey(key)
    )]
    #[non_exhaustive]
    CircuitOpen {
        /// The function.
        function: Arc<str>,
        /// The key of the call, or `None` for a breaker without keys.
        key: Option<Box<str>>,
        /// How long until the breaker admits a probe.
        retry_after: Duration,
    },
    /// The function already has its maximum number of concurrent calls.
    #[error(
        "{limit} calls of {function}{} are running, as many as may run at a time",
        ForKey(key)
    )]
    #[non_exhaustive]
    ConcurrencyExceeded {
        /// The function.
        function: Arc<str>,
        /// The key of the call, or `None` for permits without keys.
        key: Option<Box<str>>,
        /// The maximum number of concurrent calls.
        limit: u64,
    },
    /// An attribute, a [`Limit`](crate::Limit) or a [`Config`](crate::Config) has an invalid value.
    #[error("{message}")]
    #[non_exhaustive]
    Config {
        /// The invalid value, why it is invalid, and what is accepted instead.
        message: Arc<str>,
    },
    /// The call costs more than the capacity of the limit, so it can never be admitted. Retrying
    /// does not help.
    #[error(
        "a call of {function}{} costs {cost}, more than its limit can ever admit at once ({capacity})",
        ForKey(key)
    )]
    #[non_exhaustive]
    CostExceedsCapacity {
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// The cost of the call in units.
        cost: u64,
        /// The largest cost that the limit can admit, in units.
        capacity: u64,
    },
    /// The call waited for another call of its `#[cache]` function to compute the value. That call failed with an
    /// error that cannot be cloned, and so did one more attempt.
    #[error("another call of {function} has failed to compute the value: {message}")]
    #[non_exhaustive]
    LoadFailed {
        /// The function, or the name of the cache.
        function: Arc<str>,
        /// The text of the error.
        message: Arc<str>,
    },
    /// A request lacks what the key of its [`ThrottleLayer`](https://docs.rs/premier/latest/premier/tower/struct.ThrottleLayer.html)
    /// needs, such as a header.
    #[error("{function} refused a request that lacks {missing}")]
    #[non_exhaustive]
    MissingKey {
        /// The name of the layer.
        function: Arc<str>,
        /// What the request lacks, such as `the header x-api-key`.
        missing: Arc<str>,
    },
    /// The quota is used up. A call that may wait gets this error when its turn would come after its
    /// maximum wait.
    #[error(
        "quota of {function}{} exceeded: retry after {retry_after:?}",
        ForKey(key)
    )]
    #[non_exhaustive]
    QuotaExceeded {
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// How long until the call would be admitted.
        retry_after: Duration,
    },
    /// The call did not finish within its timeout. The future of an async call was dropped; a sync
    /// call continues on its worker thread.
    #[error("{function} did not finish within {after:?}")]
    #[non_exhaustive]
    Timeout {
        /// The function.
        function: Arc<str>,
        /// The timeout.
        after: Duration,
    },
    /// The memory handler has reached [`max_keys`](crate::MemoryHandlerBuilder::max_keys), or the limit
    /// [`max_keys_per_limit`](crate::MemoryHandlerBuilder::max_keys_per_limit), none of the keys can be
    /// removed yet because all are in use, and this key is new.
    #[error(
        "{function}{} was refused: {max_keys} keys are in use and none of them can be forgotten yet (max_keys and max_keys_per_limit of MemoryHandler::builder())",
        ForKey(key)
    )]
    #[non_exhaustive]
    TooManyKeys {
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// The maximum number of keys: of the handler, or of the limit if that is reached first.
        max_keys: usize,
    },
    /// In this process, `max_waiting` calls already wait for the limit or for a permit.
    #[error(
        "{function}{} was refused: {max_waiting} calls are waiting, as many as may wait",
        ForKey(key)
    )]
    #[non_exhaustive]
    TooManyWaiting {
        /// The function, or the name of the throttle or layer.
        function: Arc<str>,
        /// The caller's key, or `None` for a limit without keys.
        key: Option<Box<str>>,
        /// The maximum number of calls that wait.
        max_waiting: u64,
    },
}

impl Error {
    /// Returns how long to wait before an equal call can succeed, or `None` where that is not known.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let hourly = Throttle::new("hourly", Limit::fixed_window(1, Duration::from_secs(3600)));
    /// hourly.acquire("alice")?;
    /// let error = hourly.acquire("alice").unwrap_err();
    /// assert!(error.retry_after() > Some(Duration::from_secs(3500)));
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BucketFull { retry_after, .. }
            | Self::CircuitOpen { retry_after, .. }
            | Self::QuotaExceeded { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Returns whether premier refused the call: the function did not run, because a quota is used up, a
    /// bucket is full, too many calls or keys are in use, the circuit is open, the call costs more than
    /// its limit can ever admit, or a request lacks its key.
    ///
    /// A store that could not decide ([`Error::Backend`]) has not refused the call by a limit, so it does
    /// not count here.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let hourly = Throttle::new("refusing", Limit::fixed_window(1, Duration::from_secs(3600)));
    /// hourly.acquire("alice")?;
    /// assert!(hourly.acquire("alice").unwrap_err().is_refusal());
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::BucketFull { .. }
            | Self::CircuitOpen { .. }
            | Self::ConcurrencyExceeded { .. }
            | Self::CostExceedsCapacity { .. }
            | Self::MissingKey { .. }
            | Self::QuotaExceeded { .. }
            | Self::TooManyKeys { .. }
            | Self::TooManyWaiting { .. } => true,
            Self::AlreadyConfigured
            | Self::Backend { .. }
            | Self::Config { .. }
            | Self::LoadFailed { .. }
            | Self::Timeout { .. } => false,
        }
    }

    /// Returns whether this is an [`Error::Timeout`]: the function ran, and whether it has done its work is
    /// not known.
    ///
    /// ```
    /// use premier::{Error, timeout};
    /// use std::time::Duration;
    ///
    /// #[timeout("10ms")]
    /// fn slow() -> Result<(), Error> {
    ///     std::thread::sleep(Duration::from_secs(1));
    ///     Ok(())
    /// }
    ///
    /// assert!(slow().unwrap_err().is_timeout());
    /// ```
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns whether an equal call may succeed later, after [`Error::retry_after`] where that is known.
    ///
    /// This is `false` for errors that waiting does not resolve: [`Error::AlreadyConfigured`], [`Error::Config`],
    /// [`Error::CostExceedsCapacity`] and [`Error::MissingKey`]. After an [`Error::Timeout`] the function may have done its work, so
    /// repeat it only if it may run twice.
    ///
    /// ```
    /// use premier::{Limit, Throttle};
    /// use std::time::Duration;
    ///
    /// let hourly = Throttle::new("retrying", Limit::fixed_window(1, Duration::from_secs(3600)));
    /// hourly.acquire("alice")?;
    /// assert!(hourly.acquire("alice").unwrap_err().is_retryable());
    /// assert!(!hourly.cost(2).acquire("alice").unwrap_err().is_retryable());
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Backend { .. }
            | Self::BucketFull { .. }
            | Self::CircuitOpen { .. }
            | Self::ConcurrencyExceeded { .. }
            | Self::LoadFailed { .. }
            | Self::QuotaExceeded { .. }
            | Self::Timeout { .. }
            | Self::TooManyKeys { .. }
            | Self::TooManyWaiting { .. } => true,
            Self::AlreadyConfigured
            | Self::Config { .. }
            | Self::CostExceedsCapacity { .. }
            | Self::MissingKey { .. } => false,
        }
    }
}
