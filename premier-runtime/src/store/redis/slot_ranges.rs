//! The ranges of a cluster's slots that are down because their master does not answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::failure::Failure;

use crate::sync::lock_std;

/// All slot ranges that are known to be down.
#[derive(Debug, Default)]
pub(super) struct SlotRangeOutages {
    down: Mutex<Vec<SlotRangeOutage>>,
    last_id: AtomicU64,
}

#[derive(Debug)]
struct SlotRangeOutage {
    id: u64,
    first: u16,
    last: u16,
    reason: Failure,
}

impl SlotRangeOutages {
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns the reason why a slot is down, or `None` if it is not.
    pub(super) fn reason(&self, slot: u16) -> Option<Failure> {
        self.lock()
            .iter()
            .find(|range| range.contains(slot))
            .map(|range| Failure::clone(&range.reason))
    }

    /// Marks a slot as down. Returns the id of the new range, or `None` if the slot was down already.
    pub(super) fn add(&self, slot: u16, reason: &Failure) -> Option<u64> {
        let mut down = self.lock();
        if down.iter().any(|range| range.contains(slot)) {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        down.push(SlotRangeOutage {
            id,
            first: slot,
            last: slot,
            reason: Failure::clone(reason),
        });
        Some(id)
    }

    /// Extends a range to all slots of its master. Returns `false`, and removes the range, if another
    /// range already covers these slots.
    pub(super) fn extend(&self, id: u64, (first, last): (u16, u16)) -> bool {
        let mut down = self.lock();
        let is_known = down
            .iter()
            .any(|range| range.id != id && (range.first, range.last) == (first, last));
        if is_known {
            down.retain(|range| range.id != id);
            return false;
        }
        for range in down.iter_mut().filter(|range| range.id == id) {
            (range.first, range.last) = (first, last);
        }
        true
    }

    pub(super) fn remove(&self, id: u64) {
        self.lock().retain(|range| range.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SlotRangeOutage>> {
        lock_std(&self.down)
    }
}

impl SlotRangeOutage {
    fn contains(&self, slot: u16) -> bool {
        (self.first..=self.last).contains(&slot)
    }
}
