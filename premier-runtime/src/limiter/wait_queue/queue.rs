//! The waiters of one key, first come first served.
//!
//! Only the head of a queue acts: it sleeps until its time has come and then asks. All others sleep
//! until they are the head. A waiter leaves by dropping its [`Waiter`], whatever the reason, and
//! the head that leaves wakes the next one.
//!
//! Every operation is a few steps in a tree. Wakers are woken and dropped without the lock, because
//! both run code of the executor.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::task::Waker;

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};

/// How many waiters are summed up for [`Waiter::ahead`].
const COUNTED: usize = 1_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    /// Number of waiters, to be read without the lock.
    len: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By id. Ids ascend, so the first waiter is the head.
    waiters: BTreeMap<u64, Entry>,
    last_id: u64,
    /// The units of all waiters.
    units: u128,
}

#[derive(Debug)]
struct Entry {
    units: u64,
    /// When to ask once it is the head; 0 means at once.
    ask_at: u64,
    waker: Option<Waker>,
}

/// The position of a waiter in its queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Position {
    /// It is the head and may ask at this time.
    Head(u64),
    Behind,
}

/// The waiters ahead of a caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct QueueHead {
    /// When the head asks again.
    pub(crate) ask_at: u64,
    /// The units of the head.
    pub(crate) units: u64,
    /// The units of all other waiters ahead, or fewer.
    pub(crate) others: u64,
}

impl WaitQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Whether no caller waits. Takes no lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }

    /// The waiters ahead of a caller that joins now; `None` if there are none.
    pub(crate) fn head(&self) -> Option<QueueHead> {
        let inner = self.lock();
        let (_, head) = inner.waiters.first_key_value()?;
        let others = inner.units - u128::from(head.units);
        Some(QueueHead {
            ask_at: head.ask_at,
            units: head.units,
            others: u64::try_from(others).unwrap_or(u64::MAX),
        })
    }

    /// Wakes the head, which checks its condition again.
    pub(crate) fn wake_head(&self) {
        self.head_waker(|_| ());
    }

    /// Lets the head ask again now, because units were refunded.
    pub(crate) fn notify(&self) {
        self.head_waker(|head| head.ask_at = 0);
    }

    /// Wakes all waiters, which check their condition again.
    #[cfg(feature = "cache")]
    pub(crate) fn wake_all(&self) {
        self.wake_all_but(0);
    }

    /// Wakes all waiters but one.
    #[cfg(feature = "cache")]
    fn wake_all_but(&self, id: u64) {
        let mut inner = self.lock();
        let others = inner.waiters.iter_mut().filter(|(other, _)| **other != id);
        let wakers: Vec<Waker> = others.filter_map(|(_, entry)| entry.waker.take()).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn head_waker(&self, change: impl FnOnce(&mut Entry)) {
        if self.is_empty() {
            return;
        }
        let waker = self.lock().waiters.first_entry().and_then(|mut head| {
            change(head.get_mut());
            head.get_mut().waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn join(&self, units: u64, ask_at: u64) -> u64 {
        let mut inner = self.lock();
        inner.last_id += 1;
        inner.units += u128::from(units);
        let (id, waker) = (inner.last_id, None);
        let entry = Entry {
            units,
            ask_at,
            waker,
        };
        inner.waiters.insert(id, entry);
        self.len.store(inner.waiters.len(), Ordering::SeqCst);
        id
    }

    fn leave(&self, id: u64) {
        let mut inner = self.lock();
        let was_head = inner.is_head(id);
        let Some(gone) = inner.waiters.remove(&id) else {
            return;
        };
        inner.units -= u128::from(gone.units);
        self.len.store(inner.waiters.len(), Ordering::SeqCst);
        let next = match inner.waiters.first_entry() {
            Some(mut head) if was_head => head.get_mut().waker.take(),
            _ => None,
        };
        drop(inner);
        drop(gone);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Inner {
    fn is_head(&self, id: u64) -> bool {
        self.waiters
            .first_key_value()
            .is_some_and(|(&head, _)| head == id)
    }
}

/// A place in a queue. Dropping it leaves the queue. `Q` is how the queue is held on to.
#[derive(Debug)]
pub(crate) struct Waiter<Q: Deref<Target = WaitQueue>> {
    queue: Q,
    id: u64,
}

impl<Q: Deref<Target = WaitQueue>> Waiter<Q> {
    /// Joins at the back. Once the waiter is the head it may ask at `ask_at`; 0 means at once.
    pub(crate) fn join(queue: Q, units: u64, ask_at: u64) -> Self {
        let id = queue.join(units, ask_at);
        Self { queue, id }
    }

    /// The position of this waiter; `waker` is woken when it changes.
    pub(crate) fn position(&self, waker: &Waker) -> Position {
        let waker = waker.clone();
        let mut inner = self.queue.lock();
        let is_head = inner.is_head(self.id);
        // A waiter is in its queue until it is dropped.
        let (old, ask_at) = match inner.waiters.get_mut(&self.id) {
            Some(entry) => (entry.waker.replace(waker), entry.ask_at),
            None => (Some(waker), 0),
        };
        drop(inner);
        drop(old);
        match is_head {
            true => Position::Head(ask_at),
            false => Position::Behind,
        }
    }

    /// Sets when to ask.
    pub(crate) fn ask_at(&self, at: u64) {
        if let Some(entry) = self.queue.lock().waiters.get_mut(&self.id) {
            entry.ask_at = at;
        }
    }

    /// The queue.
    #[cfg(feature = "cache")]
    pub(crate) const fn queue(&self) -> &Q {
        &self.queue
    }

    /// Wakes all other waiters, which check their condition again.
    #[cfg(feature = "cache")]
    pub(crate) fn wake_others(&self) {
        self.queue.wake_all_but(self.id);
    }

    /// Whether this is the only waiter. Takes no lock.
    #[cfg(feature = "cache")]
    pub(crate) fn is_alone(&self) -> bool {
        self.queue.len.load(Ordering::SeqCst) <= 1
    }

    /// The waiters ahead of this one; `None` for the head. Counts the first [`COUNTED`] only.
    pub(crate) fn ahead(&self) -> Option<QueueHead> {
        let inner = self.queue.lock();
        let mut ahead = inner.waiters.range(..self.id).map(|(_, entry)| entry);
        let head = ahead.next()?;
        Some(QueueHead {
            ask_at: head.ask_at,
            units: head.units,
            others: ahead
                .take(COUNTED)
                .fold(0, |sum, entry| entry.units.saturating_add(sum)),
        })
    }
}

impl<Q: Deref<Target = WaitQueue>> Drop for Waiter<Q> {
    fn drop(&mut self) {
        self.queue.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::{Position, QueueHead, WaitQueue, Waiter};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::SeqCst)
    }

    #[test]
    fn only_the_head_that_leaves_wakes_the_next_one() {
        let queue = WaitQueue::default();
        assert!(queue.is_empty() && queue.head().is_none());
        let waiters: Vec<_> = (1..=4).map(|n| Waiter::join(&queue, n, 7)).collect();
        let counts: Vec<_> = (0..4).map(|_| Arc::new(Count::default())).collect();
        for (place, (waiter, count)) in waiters.iter().zip(&counts).enumerate() {
            let position = waiter.position(&Waker::from(Arc::clone(count)));
            match place {
                0 => assert_eq!(position, Position::Head(7)),
                _ => assert_eq!(position, Position::Behind),
            }
        }
        let head = QueueHead {
            ask_at: 7,
            units: 1,
            others: 9,
        };
        assert_eq!(queue.head(), Some(head));
        assert_eq!(waiters[0].ahead(), None);
        assert_eq!(waiters[3].ahead(), Some(QueueHead { others: 5, ..head }));
        let mut waiters = waiters.into_iter();
        let (first, second) = (waiters.next(), waiters.next());
        drop(second);
        assert_eq!(counts.iter().map(|c| woken(c)).sum::<usize>(), 0);
        drop(first);
        assert_eq!((woken(&counts[2]), woken(&counts[3])), (1, 0));
        let third = waiters.next();
        queue.notify();
        let third = third.as_ref().map(|w| w.position(Waker::noop()));
        assert_eq!(third, Some(Position::Head(0)));
        drop(waiters);
    }

    #[test]
    fn a_queue_that_everybody_has_left_is_empty() {
        let queue = WaitQueue::default();
        let waiters: Vec<_> = (0..100)
            .map(|_| Waiter::join(&queue, u64::MAX, 0))
            .collect();
        assert_eq!(queue.head().map(|head| head.others), Some(u64::MAX));
        drop(waiters);
        assert!(queue.is_empty() && queue.head().is_none());
    }
}
