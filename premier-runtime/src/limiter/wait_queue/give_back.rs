//! What callers of one key give back to the store, in the order in which they gave it up.
//!
//! A store takes back the last slot only, and units by the limits under which they were taken. So one caller
//! at a time gives back, also for the others.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::algorithms::Plan;
use crate::store::request::Operation;

/// Something that callers have taken and do not use.
#[derive(Clone, Debug)]
pub(crate) struct GiveBack {
    /// The limits under which it was taken.
    pub(crate) plans: Arc<[Plan]>,
    pub(crate) operation: Operation,
    pub(crate) from_fallback: bool,
    pub(crate) reason: Reason,
}

/// Why something is given back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// A caller no longer waits for its slot.
    Abandoned,
    /// Its owners ask again.
    Recalled,
    /// Its owners ask again. It was taken under limits that are no longer in force, and those who have asked
    /// meanwhile have slots behind it, which are too late.
    Outdated,
}

#[derive(Debug, Default)]
pub(super) struct GiveBacks {
    next: VecDeque<GiveBack>,
    /// Whether a caller is giving back.
    is_running: bool,
    /// How many recalled ones have not been given back yet, and how many changes of the limit are not complete.
    holds: usize,
}

impl GiveBacks {
    pub(super) fn add(&mut self, give_back: GiveBack) {
        self.holds += usize::from(give_back.reason != Reason::Abandoned);
        self.next.push_back(give_back);
    }

    /// Whether slots are being recalled. Nobody asks again before that is over.
    pub(super) const fn are_held(&self) -> bool {
        self.holds > 0
    }

    pub(super) const fn hold(&mut self) {
        self.holds += 1;
    }

    pub(super) const fn end_hold(&mut self) {
        self.holds -= 1;
    }

    /// Whether the caller is the one that gives back now.
    pub(super) fn start(&mut self) -> bool {
        !self.next.is_empty() && !std::mem::replace(&mut self.is_running, true)
    }

    /// Returns what to give back next, for the caller that does so, after `done`.
    pub(super) fn next(&mut self, done: Option<GiveBack>) -> Option<GiveBack> {
        if done.is_some_and(|done| done.reason != Reason::Abandoned) {
            self.end_hold();
        }
        let next = self.next.pop_front();
        self.is_running = next.is_some();
        next
    }
}
