//! The one error type.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Everything that premier can refuse or fail with.
///
/// Messages say what happened, to which function and key, and when to retry; keys are escaped and
/// cut, so that a hostile key cannot break a log line.
///
/// A function annotated with premier's attributes that returns a `Result` needs its error to
/// implement `From<premier::Error>`. `Box<dyn std::error::Error + Send + Sync>` and
/// [`std::io::Error`] do.
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
    /// [`premier::config`](crate::config) was called twice, or after the first use of the default
    /// configuration. What was configured first stays in force.
    #[error(
        "premier is already configured: call premier::config once, in main, before the first annotated function runs"
    )]
    AlreadyConfigured,
    /// The store could not decide (connection lost, timeout, a reply that makes no sense).
    #[error("{store} did not decide about {function}{}: {message}", InKey(key))]
    #[non_exhaustive]
    Backend {
        /// Which store.
        store: &'static str,
        /// The function, or the name of the throttle.
        function: Arc<str>,
        /// The caller's part of the key, if there is one.
        key: Option<Box<str>>,
        /// What went wrong.
        message: Arc<str>,
    },
    /// The queue of a leaky bucket is full.
    #[error(
        "the queue of {function}{} is full: retry after {retry_after:?}",
        InKey(key)
    )]
    #[non_exhaustive]
    BucketFull {
        /// The function, or the name of the throttle.
        function: Arc<str>,
        /// The caller's part of the key, if there is one.
        key: Option<Box<str>>,
        /// How long until the queue has room.
        retry_after: Duration,
    },
    /// The circuit breaker of the function is open: it has failed too often.
    #[error("the circuit breaker of {function} is open: retry after {retry_after:?}")]
    #[non_exhaustive]
    CircuitOpen {
        /// The function.
        function: Arc<str>,
        /// How long until a call is let through to try.
        retry_after: Duration,
    },
    /// As many calls of the function run as may run at a time.
    #[error("{limit} calls of {function} are running, as many as may run at a time")]
    #[non_exhaustive]
    ConcurrencyExceeded {
        /// The function.
        function: Arc<str>,
        /// How many may run at a time.
        limit: u64,
    },
    /// A value that cannot be used, in an attribute, a [`Limit`](crate::Limit) or a
    /// [`Config`](crate::Config).
    #[error("{message}")]
    #[non_exhaustive]
    Config {
        /// What is wrong with which value, and what is accepted.
        message: Arc<str>,
    },
    /// The call costs more than the limit can ever give: retrying is of no use.
    #[error(
        "a call of {function}{} costs {cost}, more than its limit can ever admit at once ({capacity})",
        InKey(key)
    )]
    #[non_exhaustive]
    CostExceedsCapacity {
        /// The function, or the name of the throttle.
        function: Arc<str>,
        /// The caller's part of the key, if there is one.
        key: Option<Box<str>>,
        /// What the call costs.
        cost: u64,
        /// The most that a call may cost.
        capacity: u64,
    },
    /// The quota is used up; for a call that may wait, its turn would come too late.
    #[error(
        "quota of {function}{} exceeded: retry after {retry_after:?}",
        InKey(key)
    )]
    #[non_exhaustive]
    QuotaExceeded {
        /// The function, or the name of the throttle.
        function: Arc<str>,
        /// The caller's part of the key, if there is one.
        key: Option<Box<str>>,
        /// How long until the call would be admitted.
        retry_after: Duration,
    },
    /// The call took too long. An async one was dropped, a sync one goes on in its worker thread.
    #[error("{function} did not finish within {after:?}")]
    #[non_exhaustive]
    Timeout {
        /// The function.
        function: Arc<str>,
        /// How long it was given.
        after: Duration,
    },
    /// The memory handler holds as many keys as it may, all of them still owing, and this one is
    /// new.
    #[error(
        "{function}{} was refused: {max_keys} keys are in use and none of them can be forgotten yet (MemoryHandler::builder().max_keys)",
        InKey(key)
    )]
    #[non_exhaustive]
    TooManyKeys {
        /// The function, or the name of the throttle.
        function: Arc<str>,
        /// The caller's part of the key, if there is one.
        key: Option<Box<str>>,
        /// The bound that was reached.
        max_keys: usize,
    },
}

impl Error {
    /// How long to wait before an equal call can succeed, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BucketFull { retry_after, .. }
            | Self::CircuitOpen { retry_after, .. }
            | Self::QuotaExceeded { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// An error of a store other than the built-in ones, for implementors of
    /// [`Handler`](crate::Handler). The function and key are filled in by premier.
    #[must_use]
    pub fn backend(store: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Backend {
            store,
            function: Arc::from(""),
            key: None,
            message: message.into(),
        }
    }

    /// Fills in whom an error is about, where the store could not know.
    pub(crate) fn at(mut self, name: &Arc<str>, user: Option<&str>) -> Self {
        if let Self::Backend { function, key, .. }
        | Self::CostExceedsCapacity { function, key, .. }
        | Self::TooManyKeys { function, key, .. } = &mut self
        {
            *function = Arc::clone(name);
            *key = user.map(Into::into);
        }
        self
    }

    pub(crate) fn config(message: impl Into<Arc<str>>) -> Self {
        Self::Config {
            message: message.into(),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::BucketFull { .. }
            | Error::CircuitOpen { .. }
            | Error::ConcurrencyExceeded { .. }
            | Error::QuotaExceeded { .. }
            | Error::TooManyKeys { .. } => io::ErrorKind::WouldBlock,
            Error::Timeout { .. } => io::ErrorKind::TimedOut,
            Error::Config { .. } | Error::CostExceedsCapacity { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// " for key …", escaped and cut, or nothing.
struct InKey<'a>(&'a Option<Box<str>>);

/// A key, escaped and cut.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0;
        let shown = key
            .char_indices()
            .nth(SHOWN_CHARS)
            .map_or(key, |(end, _)| &key[..end]);
        write!(formatter, "{}", shown.escape_debug())?;
        formatter.write_str(if shown.len() < key.len() { "…" } else { "" })
    }
}

/// Longer keys are cut in messages: they may be a megabyte that a client chose.
const SHOWN_CHARS: usize = 64;

impl fmt::Display for InKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(formatter, " for key \"{}\"", Shown(key)),
            None => Ok(()),
        }
    }
}
