//! The configuration of a process.

use std::sync::Arc;

use crate::config::retry_budget::RetryBudget;
use crate::limit::algo::Algo;
use crate::store::handler::Handler;
use crate::store::outage::OnBackendError;

/// How a process decides: which store, under which keyspace, by which default algorithm.
///
/// Defaults: a [`MemoryHandler`](crate::MemoryHandler), keyspace `"premier"`,
/// [`Algo::FixedWindow`], [`OnBackendError::Deny`].
///
/// ```
/// use premier::{Algo, Config, MemoryHandler};
///
/// premier::config(
///     Config::new(MemoryHandler::new())
///         .keyspace("shop")
///         .algo(Algo::TokenBucket),
/// )?;
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) keyspace: Arc<str>,
    pub(crate) algo: Algo,
    pub(crate) on_backend_error: OnBackendError,
    pub(crate) retry_budget: Option<RetryBudget>,
    pub(crate) log_keys: bool,
    #[cfg(feature = "limits-file")]
    pub(crate) limits_file: Option<std::path::PathBuf>,
}

impl Config {
    /// The defaults with this store.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self {
            handler: Arc::new(handler),
            keyspace: Arc::from("premier"),
            algo: Algo::default(),
            on_backend_error: OnBackendError::default(),
            retry_budget: None,
            log_keys: false,
            #[cfg(feature = "limits-file")]
            limits_file: None,
        }
    }

    /// The first part of every key: services that share a store keep apart by it. It must not be
    /// empty and must not contain `:`, `{` or `}`.
    #[must_use]
    pub fn keyspace(mut self, keyspace: impl Into<Arc<str>>) -> Self {
        self.keyspace = keyspace.into();
        self
    }

    /// The algorithm of attributes that name none.
    #[must_use]
    pub fn algo(mut self, algo: Algo) -> Self {
        self.algo = algo;
        self
    }

    /// What happens to calls while the store cannot decide.
    #[must_use]
    pub fn on_backend_error(mut self, policy: OnBackendError) -> Self {
        self.on_backend_error = policy;
        self
    }

    /// Bounds the retries of the whole process to a share of its first calls. Default: no bound.
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.retry_budget = Some(budget);
        self
    }

    /// Whether events of the feature `tracing` carry keys, escaped and cut. Default: no, for a key
    /// may be personal.
    #[must_use]
    pub fn log_keys(mut self, log: bool) -> Self {
        self.log_keys = log;
        self
    }

    /// Takes limits from a TOML file and follows its changes, of which each applies within a second.
    /// What a limit has consumed stays consumed. A file with a mistake is refused whole: the limits
    /// stay as they are, an event tells of the line, and so does
    /// [`limits::file_status`](crate::limits::file_status).
    ///
    /// ```toml
    /// [limits."shop::search:search"]  # the name in errors: module, colon, function
    /// rate = "100/s"                  # as in #[throttle]; or quota = 100, duration = "1s"
    /// burst = 200
    ///
    /// [limits.login]
    /// rates = ["5/min", "20/h"]       # for limits("…", "…")
    /// ```
    ///
    /// Names that no limit has yet apply at its first use. `algo` is that of the attribute unless
    /// it is given, and has to be that of the attribute then, for a state cannot be kept across
    /// algorithms.
    #[cfg(feature = "limits-file")]
    #[must_use]
    pub fn limits_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.limits_file = Some(path.into());
        self
    }

    pub(crate) fn validate(&self) -> Result<(), crate::error::Error> {
        if self.keyspace.is_empty() || self.keyspace.contains([':', '{', '}']) {
            return Err(crate::error::Error::config(format!(
                "keyspace {:?} cannot be used: it must not be empty nor contain ':', '{{' or '}}'",
                self.keyspace
            )));
        }
        Ok(())
    }
}

impl<H: Handler> From<H> for Config {
    fn from(handler: H) -> Self {
        Self::new(handler)
    }
}
