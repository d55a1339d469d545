//! The process-wide configuration that annotated functions use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::SteadyClock;
use crate::config::builder::Config;
use crate::config::retry_budget::RetryBudget;
use crate::config::scope;
use crate::error::Error;
use crate::limit::algo::Algo;
use crate::store::handler::Handler;
use crate::store::memory::{MemoryHandler, as_memory};
use crate::store::outage::OnBackendError;

/// A configuration with the clock and the fallback store that belong to it.
#[derive(Debug)]
pub(crate) struct Runtime {
    config: Config,
    /// Decides under [`OnBackendError::Memory`] while the store cannot. Created for the first limit that is not in
    /// memory.
    fallback: OnceLock<MemoryHandler>,
    clock: SteadyClock,
}

static GLOBAL: OnceLock<Runtime> = OnceLock::new();

static HAS_RETRY_BUDGET: AtomicBool = AtomicBool::new(false);

/// Returns whether the process has a retry budget. Checking this flag is cheaper than
/// [`Runtime::global`] for a call that succeeds at its first attempt.
#[inline]
pub(crate) fn has_retry_budget() -> bool {
    match scope::current() {
        None => HAS_RETRY_BUDGET.load(Ordering::Relaxed),
        Some(_) => Runtime::global().retry_budget().is_some(),
    }
}

impl Runtime {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            clock: clock_of(&*config.handler),
            config,
            fallback: OnceLock::new(),
        }
    }

    /// Returns the configuration of the scope or, outside of one, the process's, installing the default one if
    /// there is none yet.
    pub(crate) fn global() -> &'static Self {
        if let Some(runtime) = scope::current().and_then(|scope| scope.runtime()) {
            return runtime;
        }
        GLOBAL.get_or_init(|| Self::new(Config::new(MemoryHandler::new())))
    }

    /// A scope with this configuration.
    #[cfg(feature = "testing")]
    pub(crate) fn in_scope(config: Config) -> &'static scope::Scope {
        scope::Scope::new(Self::new(config))
    }

    /// Installs the process's configuration.
    ///
    /// # Errors
    /// [`Error::AlreadyConfigured`] when the process already has a configuration.
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

    /// Returns the clock of the handler, which retries, timeouts, caches and breakers use too.
    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.clock
    }

    pub(crate) fn fallback(&self) -> &MemoryHandler {
        self.fallback.get_or_init(MemoryHandler::new)
    }
}

/// Returns the clock for everything except the decisions of a store. It is the precise variant of the
/// handler's clock.
fn clock_of(handler: &dyn Handler) -> SteadyClock {
    match (as_memory(handler), handler.clock()) {
        (Some(memory), _) => memory.clock().precise(),
        (None, Some(clock)) => SteadyClock::new(clock),
        (None, None) => SteadyClock::default(),
    }
}
