//! The arguments of one `#[cache]`.

use std::time::Duration;

use super::bound_cache::{BoundCache, Ttl};
use super::log::log_failure;
use super::registry;
use crate::attributes::call_site::CallSite;
use crate::attributes::into_arg::{LengthOfTime, WholeNumber};
use crate::attributes::site::Policy;
use crate::attributes::spec::Spec;
use crate::config::runtime::Runtime;
use crate::error::Error;

/// The arguments of one `#[cache]`.
pub type CacheSpec = Spec<CacheArgs>;

/// The arguments of one `#[cache]`.
#[derive(Debug)]
pub struct CacheArgs {
    ttl: Ttl,
    wait: Duration,
    capacity: u64,
    /// The keyspace of the configuration if `None`.
    keyspace: Option<&'static str>,
}

impl Default for CacheArgs {
    fn default() -> Self {
        Self {
            ttl: Ttl {
                fresh: None,
                stale: Duration::ZERO,
            },
            wait: Duration::MAX,
            capacity: 10_000,
            keyspace: None,
        }
    }
}

impl CacheSpec {
    /// `keyspace = …`: what keys begin with in the shared store, instead of the program's keyspace.
    #[must_use]
    pub fn keyspace(self, keyspace: &'static str) -> Self {
        self.set(Ok(keyspace), |args, keyspace| {
            args.keyspace = Some(keyspace);
        })
    }

    /// `ttl = …`: how long a value is fresh.
    #[must_use]
    pub fn ttl(self, ttl: impl LengthOfTime) -> Self {
        self.set(ttl.into_period(), |args, ttl| args.ttl.fresh = Some(ttl))
    }

    /// `stale = …`: how long a value may be used after `ttl`, while one caller computes a new one.
    #[must_use]
    pub fn stale(self, stale: impl LengthOfTime) -> Self {
        self.set(stale.into_period(), |args, stale| args.ttl.stale = stale)
    }

    /// `wait = …`: how long a caller waits for the computation of another one, before it computes the value itself.
    #[must_use]
    pub fn wait(self, longest: impl LengthOfTime) -> Self {
        self.set(longest.into_period(), |args, longest| args.wait = longest)
    }

    /// `capacity = …`: how many values the cache holds at most.
    #[must_use]
    pub fn capacity(self, capacity: impl WholeNumber) -> Self {
        self.set(capacity.into_units("capacity"), |args, capacity| {
            args.capacity = capacity;
        })
    }
}

/// The cache of one function.
#[derive(Debug)]
pub struct CachePolicy(pub(super) BoundCache);

impl Policy for CachePolicy {
    const ATTRIBUTE: &'static str = "cache";
    type Args = CacheArgs;

    fn bind(call_site: &CallSite, args: CacheArgs) -> Result<Self, Error> {
        let runtime = Runtime::global();
        let keyspace = args.keyspace.unwrap_or(runtime.keyspace());
        Ok(Self(BoundCache::new(
            call_site.name_or_path(),
            keyspace,
            &call_site.shared_name(),
            args.ttl,
            args.wait,
            args.capacity,
            runtime,
        )))
    }

    fn on_bound(&'static self) {
        registry::register(&self.0);
        self.0.register_metrics();
    }

    /// An invalid argument disables the cache instead of failing the calls, so it is logged.
    fn on_invalid(call_site: &CallSite, error: &Error) {
        log_failure("a cache is not used", &call_site.name_or_path(), error);
    }
}
