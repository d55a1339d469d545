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

    /// Puts a new waker into a place that has not been woken yet and gives back the old one; the
    /// new one when the place is gone.
    fn renew(&mut self, place: Place, waker: Waker) -> Result<Waker, Waker> {
        match self.by_deadline.get_mut(&place) {
            Some(old) => Ok(std::mem::replace(old, waker)),
            None => Err(waker),
        }
    }

    /// Gives up a place. The waker is to be dropped after every lock is released.
    #[must_use]
    pub(super) fn remove(&mut self, place: Place) -> Option<Waker> {
        self.by_deadline.remove(&place)
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

    /// Takes out everybody.
    pub(super) fn all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.by_deadline)
            .into_values()
            .collect()
    }

    /// Sets the waker of a sleeper, who takes a place if he has none. What is returned is to be
    /// dropped after every lock is released.
    #[must_use]
    pub(super) fn sleep(
        &mut self,
        place: &mut Option<Place>,
        deadline: u64,
        waker: Waker,
    ) -> Option<Waker> {
        let waker = match *place {
            Some(place) => match self.renew(place, waker) {
                Ok(old) => return Some(old),
                Err(waker) => waker,
            },
            None => waker,
        };
        *place = Some(self.insert(deadline, waker));
        None
    }
}
