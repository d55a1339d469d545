//! The wakers of sleeping threads and tasks by deadline, for the manual clock and the timer thread.

use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers ordered by deadline. Sleepers with equal deadlines wake in the order they were inserted.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    by_deadline: BTreeMap<(u64, u64), Waker>,
    last_id: u64,
}

/// Identifies a sleeper: its deadline and a number that is unique in its [`Sleepers`].
pub(super) type SleeperId = (u64, u64);

impl Sleepers {
    pub(super) const fn new() -> Self {
        Self {
            by_deadline: BTreeMap::new(),
            last_id: 0,
        }
    }

    pub(super) fn insert(&mut self, deadline: u64, waker: Waker) -> SleeperId {
        self.last_id += 1;
        let id = (deadline, self.last_id);
        self.by_deadline.insert(id, waker);
        id
    }

    /// Replaces the waker of a sleeper and returns the old waker. Returns the new waker as an error
    /// when the sleeper has already been woken or removed.
    fn renew(&mut self, id: SleeperId, waker: Waker) -> Result<Waker, Waker> {
        match self.by_deadline.get_mut(&id) {
            Some(old) => Ok(std::mem::replace(old, waker)),
            None => Err(waker),
        }
    }

    /// Removes a sleeper and returns its waker.
    ///
    /// The caller must drop the waker after releasing every lock, because dropping it may run code
    /// that takes the same lock.
    #[must_use]
    pub(super) fn remove(&mut self, id: SleeperId) -> Option<Waker> {
        self.by_deadline.remove(&id)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.by_deadline
            .first_key_value()
            .map(|(&(deadline, _), _)| deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.by_deadline.len()
    }

    /// Removes all sleepers whose deadline is `now` or earlier, earliest first. The caller must wake
    /// them after releasing every lock.
    pub(super) fn due(&mut self, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        // `split_off` would count the rest of the map.
        while let Some(first) = self.by_deadline.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }

    /// Removes all sleepers. The caller must wake them after releasing every lock.
    pub(super) fn all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.by_deadline)
            .into_values()
            .collect()
    }

    /// Stores `waker` for the sleeper `id`, and inserts the sleeper first if it is not there.
    ///
    /// Returns the replaced waker, which the caller must drop after releasing every lock.
    #[must_use]
    pub(super) fn sleep(
        &mut self,
        id: &mut Option<SleeperId>,
        deadline: u64,
        waker: Waker,
    ) -> Option<Waker> {
        let waker = match *id {
            Some(id) => match self.renew(id, waker) {
                Ok(old) => return Some(old),
                Err(waker) => waker,
            },
            None => waker,
        };
        *id = Some(self.insert(deadline, waker));
        None
    }
}
