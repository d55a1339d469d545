//! The configuration of a process.

use std::sync::Arc;

use crate::handler::Handler;
use crate::limit::Algo;
use crate::retry::RetryBudget;

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

    pub(crate) fn validate(&self) -> Result<(), crate::Error> {
        if self.keyspace.is_empty() || self.keyspace.contains([':', '{', '}']) {
            return Err(crate::Error::config(format!(
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

/// What happens to calls while the store cannot decide. The memory handler always can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnBackendError {
    /// Let calls through unlimited.
    Allow,
    /// Refuse with [`Error::Backend`](crate::Error::Backend). The default.
    #[default]
    Deny,
    /// Limit inside this process until the store answers again.
    Memory,
}
