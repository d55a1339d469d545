//! Creating errors, and setting the fields that a store does not know.

use std::error::Error as StdError;
use std::sync::Arc;

use super::{BackendSource, Error};

impl Error {
    /// Creates an [`Error::Backend`], for implementations of [`Handler`](crate::Handler).
    ///
    /// `store` is the name of the store and `message` the reason. The limit that called the handler
    /// fills in the function and the key.
    ///
    /// ```
    /// use premier::Error;
    ///
    /// let error = Error::backend("memcached", "connection refused");
    /// assert!(error.to_string().ends_with("connection refused"));
    /// ```
    #[must_use]
    pub fn backend(store: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Backend {
            store,
            function: Arc::from(""),
            key: None,
            message: message.into(),
            source: None,
        }
    }

    /// Sets the [`source`](std::error::Error::source) of an [`Error::Backend`], for implementations of
    /// [`Handler`](crate::Handler). Other errors stay as they are.
    ///
    /// ```
    /// use premier::Error;
    /// use std::{error::Error as _, io};
    ///
    /// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    /// let error = Error::backend("memcached", refused.to_string()).with_source(refused);
    /// assert!(error.source().is_some_and(|source| source.is::<io::Error>()));
    /// ```
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        if let Self::Backend { source, .. } = &mut self {
            *source = Some(BackendSource::new(cause.into()));
        }
        self
    }

    /// Fills in the function and the key of an error that comes from a store, which knows neither.
    pub(crate) fn at(mut self, name: &Arc<str>, subject: Option<&str>) -> Self {
        if let Self::Backend { function, key, .. }
        | Self::CostExceedsCapacity { function, key, .. }
        | Self::TooManyKeys { function, key, .. } = &mut self
        {
            *function = Arc::clone(name);
            *key = subject.map(Into::into);
        }
        self
    }

    /// The error without the caller's key, for events of a process that does not log keys.
    #[cfg(feature = "tracing")]
    pub(crate) fn without_key(mut self) -> Self {
        match &mut self {
            Self::Backend { key, .. }
            | Self::BucketFull { key, .. }
            | Self::CircuitOpen { key, .. }
            | Self::ConcurrencyExceeded { key, .. }
            | Self::CostExceedsCapacity { key, .. }
            | Self::QuotaExceeded { key, .. }
            | Self::TooManyKeys { key, .. }
            | Self::TooManyWaiting { key, .. } => *key = None,
            Self::AlreadyConfigured
            | Self::Config { .. }
            | Self::LoadFailed { .. }
            | Self::MissingKey { .. }
            | Self::Timeout { .. } => {}
        }
        self
    }

    pub(crate) fn config(message: impl Into<Arc<str>>) -> Self {
        Self::Config {
            message: message.into(),
        }
    }
}
