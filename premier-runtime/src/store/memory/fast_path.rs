//! The fast path: deciding about a call without building a request.
//!
//! A limiter over memory holds one and asks it first. It answers if the limiter has a single limit,
//! whose numbers fit the packed representation, and the key is already in the table. Otherwise it
//! returns `None`, and the limiter asks the store with a [`Request`](crate::store::request::Request).
//! What it saves is in `benches/RESULTS.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::atomic::AtomicCell;

use super::table::Table;
use crate::algorithms::{Answer, Plan, Rule};
use crate::key::subject::Subject;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct FastPath {
    /// The limit in the code; `None` where the fast path cannot decide.
    stated: Option<Rule<u64>>,
    /// Whether another limit replaces it.
    is_replaced: AtomicBool,
    /// The limit that replaces it. It is copied to be read, which is why the limit in the code is kept
    /// beside it: most limits are never replaced.
    replacement: AtomicCell<Option<Rule<u64>>>,
    table: Arc<Table>,
}

impl FastPath {
    pub(crate) fn new(table: &Arc<Table>, plans: &[Plan]) -> Self {
        Self {
            stated: table.packed_rule(plans),
            is_replaced: AtomicBool::new(false),
            replacement: AtomicCell::new(None),
            table: Arc::clone(table),
        }
    }

    /// Decides by other limits from now on.
    pub(crate) fn set_limits(&self, plans: &[Plan]) {
        let rule = self.table.packed_rule(plans);
        let is_replaced = rule != self.stated;
        self.replacement.store(rule);
        self.is_replaced.store(is_replaced, Ordering::Relaxed);
    }

    /// Decides about a call and takes its cost if it is admitted; `None` where the store has to be
    /// asked.
    #[inline(always)]
    pub(crate) fn try_take<A: Answer>(&self, key: Option<&Subject<'_>>, cost: u64) -> Option<A> {
        // Relaxed: a call that sees the change late decides as if it had come before it.
        match self.is_replaced.load(Ordering::Relaxed) {
            false => self.decide(self.stated.as_ref()?, key, cost),
            true => self.decide_by_replacement(key, cost),
        }
    }

    // Apart, so that its copy of the limit does not cost the other calls a larger stack frame.
    #[cold]
    #[inline(never)]
    fn decide_by_replacement<A: Answer>(&self, key: Option<&Subject<'_>>, cost: u64) -> Option<A> {
        self.decide(&self.replacement.load()?, key, cost)
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
