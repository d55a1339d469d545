//! The units and slots that waiters of one key give back to the store, in the order in which they gave them up.
//!
//! A store takes back the last slot only, and units by the limits under which they were taken. So one caller at a
//! time gives back, for all waiters.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::algorithms::Plan;
use crate::store::request::Operation;

/// Units or a slot that waiters have taken and do not use.
#[derive(Clone, Debug)]
pub(crate) struct GiveBack {
    /// The limits under which they were taken.
    pub(crate) plans: Arc<[Plan]>,
    pub(crate) operation: Operation,
    pub(crate) from_fallback: bool,
    pub(crate) reason: Reason,
}

/// Why units or a slot are given back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// A waiter gave up its slot.
    Abandoned,
    /// The slots were recalled: the waiters ask again.
    Recalled,
    /// The slots were recalled: they were taken under limits that are no longer in force. Callers that have asked
    /// meanwhile have slots behind them, which begin too late.
    Outdated,
}

/// Resumes a panic of the store.
pub(super) fn resume(given_back: thread::Result<()>) {
    if let Err(panic) = given_back {
        resume_unwind(panic);
    }
}

#[derive(Debug, Default)]
pub(super) struct GiveBacks {
    next: VecDeque<GiveBack>,
    /// Whether a caller is giving back.
    is_running: bool,
    /// The number of recalls that have not been given back yet, and of changes of the limit that are not complete.
    holds: usize,
}

impl GiveBacks {
    pub(super) fn add(&mut self, give_back: GiveBack) {
        self.holds += usize::from(give_back.reason != Reason::Abandoned);
        self.next.push_back(give_back);
    }

    /// Whether slots are being recalled. No waiter asks again before that has ended.
    pub(super) const fn are_held(&self) -> bool {
        self.holds > 0
    }

    pub(super) const fn hold(&mut self) {
        self.holds += 1;
    }

    pub(super) const fn end_hold(&mut self) {
        self.holds -= 1;
    }

    /// Makes the caller the one that gives back, if there is none. Returns whether it is.
    pub(super) fn start(&mut self) -> bool {
        !self.next.is_empty() && !std::mem::replace(&mut self.is_running, true)
    }

    /// Returns the next item for the caller that gives back. `done` is the item before.
    pub(super) fn next(&mut self, done: Option<GiveBack>) -> Option<GiveBack> {
        if done.is_some_and(|done| done.reason != Reason::Abandoned) {
            self.end_hold();
        }
        let next = self.next.pop_front();
        self.is_running = next.is_some();
        next
    }
}
