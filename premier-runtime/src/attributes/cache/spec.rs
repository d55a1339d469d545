//! The arguments of one `#[cache]`.

use std::time::Duration;

use super::bound_cache::{BoundCache, Ttl};
use super::log::log_failure;
use crate::attributes::call_site::CallSite;
use crate::attributes::into_arg::{IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::config::runtime::Runtime;
use crate::error::Error;

/// The arguments of one `#[cache]`. The first invalid one disables the cache.
#[derive(Debug)]
pub struct CacheSpec {
    call_site: CallSite,
    ttl: Option<Duration>,
    stale: Duration,
    capacity: u64,
    keyspace: Option<&'static str>,
    problem: Option<Error>,
}

/// How many values a cache holds without `capacity = …`.
const DEFAULT_CAPACITY: u64 = 10_000;

impl CacheSpec {
    /// The defaults: at most 10,000 values, which never expire.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            ttl: None,
            stale: Duration::ZERO,
            capacity: DEFAULT_CAPACITY,
            keyspace: None,
            problem: None,
        }
    }

    /// `name = …`: the name that [`invalidate`](super::invalidate) and [`clear`](super::clear) take.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `keyspace = …`: what keys begin with in the shared store, instead of the program's keyspace.
    #[must_use]
    pub fn keyspace(mut self, keyspace: &'static str) -> Self {
        self.keyspace = Some(keyspace);
        self
    }

    /// `ttl = …`: how long a value is fresh.
    #[must_use]
    pub fn ttl(mut self, ttl: impl IntoPeriod) -> Self {
        self.ttl = note(&mut self.problem, ttl.into_period());
        self
    }

    /// `stale = …`: how long a value may be used after `ttl`, while one caller computes a new one.
    #[must_use]
    pub fn stale(mut self, stale: impl IntoPeriod) -> Self {
        self.stale = note(&mut self.problem, stale.into_period()).unwrap_or_default();
        self
    }

    /// `capacity = …`: how many values the cache holds at most.
    #[must_use]
    pub fn capacity(mut self, capacity: impl IntoUnits) -> Self {
        let capacity = note(&mut self.problem, capacity.into_units("capacity"));
        self.capacity = capacity.unwrap_or(DEFAULT_CAPACITY);
        self
    }

    /// Makes the cache, or returns `None` if an argument is invalid.
    pub(super) fn bind(self) -> Option<BoundCache> {
        let runtime = Runtime::global();
        let name = self.call_site.name_or_path();
        if let Some(problem) = self.problem {
            log_failure("a cache is not used", &name, &problem);
            return None;
        }
        let keyspace = self.keyspace.unwrap_or(runtime.keyspace());
        let ttl = Ttl {
            fresh: self.ttl,
            stale: self.stale,
        };
        Some(BoundCache::new(name, keyspace, ttl, self.capacity, runtime))
    }
}
