//! The fast path: deciding about a call without building a request.
//!
//! A limiter over memory holds one and asks it first. It answers if the limiter has a single limit,
//! whose numbers fit the packed representation, and the key is already in the table. Otherwise it
//! returns `None`, and the limiter asks the store with a [`Request`](crate::store::request::Request).
//! What it saves is in `benches/RESULTS.md`.

use std::sync::Arc;

use crossbeam_utils::atomic::AtomicCell;

use super::table::Table;
use crate::algorithms::{Answer, Plan, Rule};
use crate::key::subject::Subject;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct FastPath {
    /// The limit as it is now; `None` where the fast path cannot decide. It is read by each call and
    /// changes with the limit, so it is a cell that is read without a lock or a count.
    rule: AtomicCell<Option<Rule<u64>>>,
    table: Arc<Table>,
}

impl FastPath {
    pub(crate) fn new(table: &Arc<Table>, plans: &[Plan]) -> Self {
        Self {
            rule: AtomicCell::new(table.packed_rule(plans)),
            table: Arc::clone(table),
        }
    }

    /// Decides by other limits from now on.
    pub(crate) fn set_limits(&self, plans: &[Plan]) {
        self.rule.store(self.table.packed_rule(plans));
    }

    /// Decides about a call and takes its cost if it is admitted; `None` where the store has to be
    /// asked.
    #[inline]
    pub(crate) fn try_take<A: Answer>(&self, key: Option<Subject<'_>>, cost: u64) -> Option<A> {
        let rule = self.rule.load()?;
        match key {
            None => self.table.try_take_direct(&rule, cost),
            Some(key) => self.table.try_take(key, &rule, cost),
        }
    }
}
