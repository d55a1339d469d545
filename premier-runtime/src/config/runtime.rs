//! The one configuration that annotated functions use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::SteadyClock;
use crate::config::builder::Config;
use crate::config::retry_budget::RetryBudget;
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::store::handler::Handler;
use crate::store::memory::{MemoryHandler, as_memory};
use crate::store::outage::OnBackendError;

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
            clock: clock_of(&*config.handler),
            config,
            fallback: MemoryHandler::new(),
        }
    }

    /// The process's configuration; from its first use on it is fixed.
    pub(crate) fn global() -> &'static Self {
        GLOBAL.get_or_init(|| Self::new(Config::new(MemoryHandler::new())))
    }

    /// Makes a configuration that of the process.
    ///
    /// # Errors
    /// [`Error::AlreadyConfigured`] when there is one already.
    pub(crate) fn install(config: Config) -> Result<(), Error> {
        let has_budget = config.retry_budget.is_some();
        GLOBAL
            .set(Self::new(config))
            .map_err(|_| Error::AlreadyConfigured)?;
        HAS_RETRY_BUDGET.store(has_budget, Ordering::Relaxed);
        Ok(())
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
}

/// The clock for everything in this process but the decisions of the handler.
fn clock_of(handler: &dyn Handler) -> SteadyClock {
    match (as_memory(handler), handler.clock()) {
        (Some(memory), _) => memory.clock().precise(),
        (None, Some(clock)) => SteadyClock::watching(clock),
        (None, None) => SteadyClock::System,
    }
}
