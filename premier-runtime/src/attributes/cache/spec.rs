//! What one `#[cache]` says.

use std::time::Duration;

use super::bound::{Bound, Lives};
use super::warn;
use crate::attributes::call_site::CallSite;
use crate::attributes::into_arg::{IntoPeriod, IntoUnits};
use crate::attributes::spec::note;
use crate::config::runtime::Runtime;
use crate::error::Error;

/// What one `#[cache]` says, as values.
#[derive(Debug)]
pub struct CacheSpec {
    call_site: CallSite,
    ttl: Option<Duration>,
    stale: Duration,
    capacity: u64,
    keyspace: Option<&'static str>,
    problem: Option<Error>,
}

/// How many values are kept, where the attribute does not say.
const CAPACITY: u64 = 10_000;

impl CacheSpec {
    /// The defaults: 10,000 values, until others take their call_site.
    #[must_use]
    pub fn new(call_site: CallSite) -> Self {
        Self {
            call_site,
            ttl: None,
            stale: Duration::ZERO,
            capacity: CAPACITY,
            keyspace: None,
            problem: None,
        }
    }

    /// `name = …`
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.call_site = self.call_site.named(name);
        self
    }

    /// `keyspace = …`
    #[must_use]
    pub fn keyspace(mut self, keyspace: &'static str) -> Self {
        self.keyspace = Some(keyspace);
        self
    }

    /// `ttl = …`
    #[must_use]
    pub fn ttl(mut self, ttl: impl IntoPeriod) -> Self {
        self.ttl = note(&mut self.problem, ttl.into_period());
        self
    }

    /// `stale = …`
    #[must_use]
    pub fn stale(mut self, stale: impl IntoPeriod) -> Self {
        self.stale = note(&mut self.problem, stale.into_period()).unwrap_or_default();
        self
    }

    /// `capacity = …`
    #[must_use]
    pub fn capacity(mut self, capacity: impl IntoUnits) -> Self {
        let capacity = note(&mut self.problem, capacity.into_units("capacity"));
        self.capacity = capacity.unwrap_or(CAPACITY);
        self
    }

    pub(super) fn bind(self) -> Option<Bound> {
        let runtime = Runtime::global();
        let name = self.call_site.name_or_path();
        if let Some(problem) = self.problem {
            warn("a cache is not used", &name, &problem);
            return None;
        }
        let keyspace = self.keyspace.unwrap_or(runtime.keyspace());
        let lives = Lives {
            ttl: self.ttl,
            stale: self.stale,
        };
        Some(Bound::new(name, keyspace, lives, self.capacity, runtime))
    }
}
