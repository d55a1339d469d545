//! The builder of the process's configuration.

use std::sync::{Arc, LazyLock};

use crate::config::retry_budget::RetryBudget;
use crate::limit::algo::Algo;
use crate::store::handler::Handler;
use crate::store::outage::OnBackendError;

/// Shared by all configurations, of which each throttle may have one.
static DEFAULT_KEYSPACE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("premier"));

/// The configuration of a process: its store, its keyspace and the defaults of its limits.
///
/// Pass it to [`premier::config`](crate::config) once, or to one throttle with
/// [`Throttle::with_config`](crate::Throttle::with_config).
///
/// Defaults: keyspace `"premier"`, [`Algo::FixedWindow`], [`OnBackendError::Deny`], no retry budget,
/// no keys in logs, no limits file. A process that is not configured uses these defaults with a
/// [`MemoryHandler`](crate::MemoryHandler).
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
    /// Creates a configuration with the default options and this store.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler};
    ///
    /// premier::config(Config::new(MemoryHandler::new()))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self {
            handler: Arc::new(handler),
            keyspace: Arc::clone(&DEFAULT_KEYSPACE),
            algo: Algo::default(),
            on_backend_error: OnBackendError::default(),
            retry_budget: None,
            log_keys: false,
            #[cfg(feature = "limits-file")]
            limits_file: None,
        }
    }

    /// Sets the first part of every key, which separates services that share a store. Default:
    /// `"premier"`.
    ///
    /// A keyspace that is empty or contains `:`, `{` or `}` is an [`Error::Config`] when the
    /// configuration is used.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler};
    ///
    /// premier::config(Config::new(MemoryHandler::new()).keyspace("shop"))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    ///
    /// [`Error::Config`]: crate::Error::Config
    #[must_use]
    pub fn keyspace(mut self, keyspace: impl Into<Arc<str>>) -> Self {
        self.keyspace = keyspace.into();
        self
    }

    /// Sets the algorithm of attributes without an `algo` argument. Default: [`Algo::FixedWindow`].
    ///
    /// ```
    /// use premier::{Algo, Config, MemoryHandler};
    ///
    /// premier::config(Config::new(MemoryHandler::new()).algo(Algo::SlidingWindow))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn algo(mut self, algo: Algo) -> Self {
        self.algo = algo;
        self
    }

    /// Sets what happens to calls while the store cannot decide. Default: [`OnBackendError::Deny`].
    ///
    /// ```
    /// use premier::{Config, MemoryHandler, OnBackendError};
    ///
    /// let config = Config::new(MemoryHandler::new());
    /// premier::config(config.on_backend_error(OnBackendError::Memory))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn on_backend_error(mut self, policy: OnBackendError) -> Self {
        self.on_backend_error = policy;
        self
    }

    /// Limits the retries of the whole process to a share of its first attempts. Default: no limit.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler, RetryBudget};
    ///
    /// let config = Config::new(MemoryHandler::new());
    /// premier::config(config.retry_budget(RetryBudget::new(0.1)))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.retry_budget = Some(budget);
        self
    }

    /// Sets whether `tracing` events contain keys, escaped and cut after 64 characters. Default:
    /// `false`, because a key may be personal data.
    ///
    /// ```
    /// use premier::{Config, MemoryHandler};
    ///
    /// premier::config(Config::new(MemoryHandler::new()).log_keys(true))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn log_keys(mut self, log: bool) -> Self {
        self.log_keys = log;
        self
    }

    /// Reads limits from a TOML file and applies every change of the file within a second.
    ///
    /// A limit keeps what it has consumed when its numbers change. A file with an error is rejected as a whole: all
    /// limits stay as they are, and an event and [`limits::file_status`](crate::limits::file_status) report the
    /// line and the column of the error. A file that becomes empty is rejected, too, because it may be half
    /// written: an empty table, `[limits]`, removes all entries. A change counts once the file has not changed for
    /// 300 ms.
    ///
    /// ```toml
    /// [limits."shop::search:search"]  # the name in errors: module, colon, function
    /// rate = "100/s"                  # as in #[throttle]; or quota = 100, duration = 1
    /// burst = 200
    ///
    /// [limits.login]
    /// rates = ["5/min", "20/h"]       # for limits("…", "…")
    /// ```
    ///
    /// An entry whose name matches no limit yet applies when a limit of this name is first used. An event
    /// warns of each such entry once, 10 s after the start at the earliest, because the name may be
    /// misspelled. An entry may repeat the `algo` of its attribute but not change it, because the state of
    /// one algorithm cannot be converted to that of another.
    ///
    /// ```no_run
    /// use premier::{Config, MemoryHandler};
    ///
    /// premier::config(Config::new(MemoryHandler::new()).limits_file("limits.toml"))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
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
