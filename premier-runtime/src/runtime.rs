//! The one configuration that annotated functions use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::SteadyClock;
use crate::config::{Config, OnBackendError};
use crate::handler::Handler;
use crate::limit::Algo;
#[cfg(feature = "limits-file")]
use crate::limits;
use crate::memory::MemoryHandler;
use crate::retry::RetryBudget;
use crate::{Error, lines};

/// A configuration in force.
#[derive(Debug)]
pub(crate) struct Runtime {
    config: Config,
    /// Decides while the store cannot, under [`OnBackendError::Memory`].
    fallback: MemoryHandler,
    clock: SteadyClock,
}

static GLOBAL: OnceLock<Runtime> = OnceLock::new();

static HAS_RETRY_BUDGET: AtomicBool = AtomicBool::new(false);

/// Whether first attempts have to be counted. Without a budget a call that succeeds at once has
/// nothing to look up.
#[inline]
pub(crate) fn has_retry_budget() -> bool {
    HAS_RETRY_BUDGET.load(Ordering::Relaxed)
}

impl Runtime {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            clock: clock_of(&config.handler),
            config,
            fallback: MemoryHandler::new(),
        }
    }

    /// The process's configuration; from its first use on it is fixed.
    pub(crate) fn global() -> &'static Self {
        GLOBAL.get_or_init(|| Self::new(Config::new(MemoryHandler::new())))
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.config.validate()
    }

    pub(crate) fn handler(&self) -> &Arc<dyn Handler> {
        &self.config.handler
    }

    pub(crate) fn keyspace(&self) -> &str {
        &self.config.keyspace
    }

    pub(crate) fn algo(&self) -> Algo {
        self.config.algo
    }

    pub(crate) fn on_backend_error(&self) -> OnBackendError {
        self.config.on_backend_error
    }

    pub(crate) fn retry_budget(&self) -> Option<&RetryBudget> {
        self.config.retry_budget.as_ref()
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn log_keys(&self) -> bool {
        self.config.log_keys
    }

    /// The time of everything in this process: that of its handler.
    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.clock
    }

    pub(crate) fn fallback(&self) -> &MemoryHandler {
        &self.fallback
    }

    fn cleared(&self, result: Result<(), Error>) -> Result<(), Error> {
        self.fallback.clear(self.keyspace())?;
        #[cfg(feature = "cache")]
        crate::cache::forget_keyspace(self.keyspace());
        lines::nudge_all();
        result
    }
}

/// The clock of whatever is not a decision of the handler.
pub(crate) fn clock_of(handler: &Arc<dyn Handler>) -> SteadyClock {
    match (handler.as_memory(), handler.clock()) {
        (Some(memory), _) => memory.clock().precise(),
        (None, Some(clock)) => SteadyClock::watching(clock),
        (None, None) => SteadyClock::System,
    }
}

/// Configures this process, once, in `main`, before the first annotated function runs.
///
/// Without it, limits hold in this process's memory.
///
/// ```
/// use premier::{Config, MemoryHandler};
///
/// premier::config(Config::new(MemoryHandler::new()).keyspace("shop"))?;
/// assert!(premier::config(MemoryHandler::new()).is_err());
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # Errors
/// [`Error::AlreadyConfigured`] on a second call and after the first use of the default
/// configuration; [`Error::Config`] for a value that cannot be used. In both cases nothing changes.
pub fn config(config: impl Into<Config>) -> Result<(), Error> {
    #[cfg_attr(not(feature = "limits-file"), expect(unused_mut))]
    let mut config = config.into();
    config.validate()?;
    #[cfg(feature = "limits-file")]
    let file = config
        .limits_file
        .take()
        .map(limits::file::Watched::open)
        .transpose()?;
    GLOBAL
        .set(Runtime::new(config))
        .map_err(|_| Error::AlreadyConfigured)?;
    let has_budget = Runtime::global().retry_budget().is_some();
    HAS_RETRY_BUDGET.store(has_budget, Ordering::Relaxed);
    #[cfg(feature = "limits-file")]
    if let Some(file) = file {
        file.watch()?;
    }
    Ok(())
}

/// Forgets the state of every limit of this process's keyspace, and every cached value, and of no
/// other.
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub fn clear() -> Result<(), Error> {
    let runtime = Runtime::global();
    runtime.cleared(runtime.handler().clear(runtime.keyspace()))
}

/// The same as [`clear`] for async callers.
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub async fn clear_async() -> Result<(), Error> {
    let runtime = Runtime::global();
    runtime.cleared(runtime.handler().clear_async(runtime.keyspace()).await)
}
