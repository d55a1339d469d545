//! The fast path: deciding about a call without building a request.
//!
//! A limiter over memory holds one and asks it first. It answers if the limiter has a single limit,
//! whose numbers fit the packed representation, and the key is already in the table. Otherwise it
//! returns `None`, and the limiter asks the store with a [`Request`](crate::store::request::Request).
//! Measured in `benches/RESULTS.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::atomic::AtomicCell;

use super::table::Table;
use crate::algorithms::{Answer, Plan, Rule};
use crate::key::subject::Subject;
use crate::telemetry::collector;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct FastPath {
    /// The limit in the code; `None` where the fast path cannot decide.
    stated: Option<Rule<u64>>,
    /// Whether another limit replaces the limit in the code, or decisions may be collected. One word for both, so
    /// that calls of most limits read no more than this.
    has_detour: AtomicBool,
    /// The limit in force, once it was set. Reading copies it, so the limit in the code is kept beside it: most
    /// limits are never replaced.
    current: OnceLock<Box<AtomicCell<Option<Rule<u64>>>>>,
    table: Arc<Table>,
}

impl FastPath {
    pub(crate) fn new(table: &Arc<Table>, plans: &[Plan]) -> Self {
        let stated = table.packed_rule(plans);
        Self {
            has_detour: AtomicBool::new(collector::is_enabled()),
            current: OnceLock::new(),
            stated,
            table: Arc::clone(table),
        }
    }

    /// Decides by `plans` from now on, and looks for a collector if there may be one.
    pub(crate) fn set_limits(&self, plans: &[Plan]) {
        let rule = self.table.packed_rule(plans);
        let has_detour = rule != self.stated || collector::is_enabled();
        self.current.get_or_init(Box::default).store(rule);
        self.has_detour.store(has_detour, Ordering::Relaxed);
    }

    /// Decides about a call and takes its cost if it is admitted; `None` where the store has to be
    /// asked.
    #[inline(always)]
    pub(crate) fn try_take<A: Answer>(&self, key: Option<&Subject<'_>>, cost: u64) -> Option<A> {
        // Relaxed: a call that sees the change late decides as if it had come before the change.
        match self.has_detour.load(Ordering::Relaxed) {
            false => self.decide(self.stated.as_ref()?, key, cost),
            true => self.decide_by_current(key, cost),
        }
    }

    // In a function of its own, so that its copy of the limit does not enlarge the stack frame of other calls.
    #[cold]
    #[inline(never)]
    fn decide_by_current<A: Answer>(&self, key: Option<&Subject<'_>>, cost: u64) -> Option<A> {
        if collector::is_open() {
            // A collector needs the numbers of a decision, which the store computes.
            return None;
        }
        let current = match self.current.get() {
            Some(current) => current.load(),
            None => self.stated,
        };
        self.decide(&current?, key, cost)
    }

    #[inline(always)]
    fn decide<A: Answer>(
        &self,
        rule: &Rule<u64>,
        key: Option<&Subject<'_>>,
        cost: u64,
    ) -> Option<A> {
        match key {
            None => self.table.try_take_direct(rule, cost),
            Some(key) => self.table.try_take(*key, rule, cost),
        }
    }
}
