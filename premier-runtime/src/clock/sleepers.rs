//! Who sleeps until when: shared by the manual clock and by the timer thread.

use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers ordered by deadline. Equal deadlines wake in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    by_deadline: BTreeMap<(u64, u64), Waker>,
    last_id: u64,
}

/// A place among the sleepers, to give up or to renew.
pub(super) type Place = (u64, u64);

impl Sleepers {
    pub(super) const fn new() -> Self {
        Self {
            by_deadline: BTreeMap::new(),
            last_id: 0,
        }
    }

    pub(super) fn insert(&mut self, deadline: u64, waker: Waker) -> Place {
        self.last_id += 1;
        let place = (deadline, self.last_id);
        self.by_deadline.insert(place, waker);
        place
    }

    /// Puts a new waker into a place that has not been woken yet.
    pub(super) fn renew(&mut self, place: Place, waker: &Waker) -> bool {
        match self.by_deadline.get_mut(&place) {
            Some(old) => {
                old.clone_from(waker);
                true
            }
            None => false,
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.by_deadline.remove(&place);
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.by_deadline
            .first_key_value()
            .map(|(&(deadline, _), _)| deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.by_deadline.len()
    }

    /// Takes out whoever is due. To be woken after every lock is released.
    pub(super) fn due(&mut self, now: u64) -> Vec<Waker> {
        let later = match now.checked_add(1) {
            Some(next) => self.by_deadline.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.by_deadline, later)
            .into_values()
            .collect()
    }
}
