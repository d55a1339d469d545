//! All queues of one limit, and how waiters are notified of refunds.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use super::give_back::{GiveBack, Reason, resume};
use super::map::{QueueMap, QueueRef};
use super::queue::{WaitQueue, Waiter};
use super::slot_queue::{Joined, SlotQueue, SlotWaiter};
use super::slots::TakenSlot;
use crate::limiter::waiting::WaitingCount;
use crate::sync::{AtomicU64, Ordering, lock_std};

/// The queue of the waiters of one key that have no slots.
pub(crate) type LimitQueue<'a> = QueueRef<'a, (), WaitQueue>;

/// A place in a [`LimitQueue`].
pub(crate) type LimitWaiter<'a> = Waiter<LimitQueue<'a>>;

/// The queues of one limit of one store. Limiters of equal prefix in one store share them.
#[derive(Debug, Default)]
pub(crate) struct WaitQueues {
    count: WaitingCount,
    waiting: QueueMap<(), WaitQueue>,
    slots: QueueMap<(), SlotQueue>,
    /// Number of notifications. A caller that was denied before a notification and joins after it would otherwise
    /// miss it.
    notifications: AtomicU64,
    /// Number of times that slots were moved or recalled. A caller that reserved its slot before a move and joins
    /// after it would otherwise keep a slot that may belong to another caller by then.
    moves: AtomicU64,
    /// Number of times that slots were recalled because the limit had changed. A caller that reserved its slot
    /// before a change and joins after it has taken units that the recall has missed.
    changes: AtomicU64,
    /// Its key in the registry.
    registered: Option<RegistryKey>,
}

/// The events in the queues of a limit before a store was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    notifications: u64,
    moves: u64,
    changes: u64,
}

impl Seen {
    /// For a slot from the fast path, which does not read the counts: whether an event came before the slot or after it is unknown.
    pub(crate) const UNKNOWN: Self = Self {
        notifications: 0,
        // Not an `Option`, which costs async calls two instructions.
        moves: u64::MAX,
        changes: u64::MAX,
    };
}

/// The id of the store, and the prefix.
type RegistryKey = (usize, Arc<str>);

/// The queues in use, by store and prefix.
static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

type Registry = HashMap<RegistryKey, Weak<WaitQueues>>;

/// The capacity that the registry keeps. A larger one is freed once three quarters are empty.
const KEPT: usize = 64;

fn with_registry<T>(look: impl FnOnce(&mut Registry) -> T) -> T {
    look(lock_std(&REGISTRY).get_or_insert_default())
}

impl WaitQueues {
    /// The queues of the limit with this prefix in this store. Found once for each limiter.
    pub(crate) fn shared(store: usize, prefix: &Arc<str>) -> Arc<Self> {
        let key = (store, Arc::clone(prefix));
        with_registry(|registry| {
            let queues = registry.get(&key).and_then(Weak::upgrade);
            queues.unwrap_or_else(|| {
                let mut new = Self::default();
                new.registered = Some(key.clone());
                let new = Arc::new(new);
                registry.insert(key, Arc::downgrade(&new));
                new
            })
        })
    }

    /// How many callers wait, with and without slots.
    pub(crate) fn count(&self) -> &WaitingCount {
        &self.count
    }

    /// Whether no caller waits to be admitted, under any key. Takes no lock.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a caller waits to be admitted under this key.
    pub(crate) fn contains(&self, key: Option<&str>) -> bool {
        self.waiting.contains((), key)
    }

    /// The queue of a key, if it is in use.
    pub(crate) fn get(&self, key: Option<&str>) -> Option<LimitQueue<'_>> {
        self.waiting.get((), key)
    }

    /// The queue of a key.
    pub(crate) fn enter(&self, key: Option<&str>) -> LimitQueue<'_> {
        self.waiting.enter((), key)
    }

    /// Joins a queue of this limit. The head asks at `at`; 0 means at once. `seen` is what
    /// [`WaitQueues::seen`] returned before the decision that said so.
    pub(crate) fn join<'a>(
        &'a self,
        queue: LimitQueue<'a>,
        units: u64,
        at: u64,
        seen: Seen,
    ) -> LimitWaiter<'a> {
        let waiter = Waiter::join(queue, units, at);
        self.check_notified(&waiter, seen);
        waiter
    }

    /// Sets when a waiter asks again. `seen` as for [`WaitQueues::join`].
    pub(crate) fn ask_at(&self, waiter: &LimitWaiter<'_>, at: u64, seen: Seen) {
        waiter.ask_at(at);
        self.check_notified(waiter, seen);
    }

    /// [`WaitQueues::notify`] counts first and then looks for a waiter; a waiter joins first and then checks the
    /// count. At least one of the two sees the other.
    fn check_notified(&self, waiter: &LimitWaiter<'_>, seen: Seen) {
        if self.notifications.load(Ordering::SeqCst) != seen.notifications {
            waiter.ask_at(0);
        }
    }

    /// Adds a caller that has taken a slot. `recalled` is the caller as a waiter whose earlier slot was recalled.
    /// `give_back` is called with all units and slots that go back to the store.
    pub(crate) fn hold_slot<'a>(
        &'a self,
        key: Option<&str>,
        taken: TakenSlot<'_>,
        seen: Seen,
        recalled: Option<SlotWaiter<'a>>,
        give_back: impl FnMut(&GiveBack),
    ) -> (SlotWaiter<'a>, Joined) {
        let is_recalled = || self.have_changed_since(seen);
        let give_back = self.counted(give_back);
        match recalled {
            Some(mut waiter) => {
                let joined = waiter.rejoin(taken, is_recalled, give_back);
                (waiter, joined)
            }
            None => {
                let queue = self.slots.enter((), key);
                SlotWaiter::join(queue, taken, is_recalled, give_back)
            }
        }
    }

    /// Gives up a slot that was not used. The waiters behind it move up, and `give_back` is called with the last
    /// slot.
    pub(crate) fn abandon(&self, waiter: SlotWaiter<'_>, give_back: impl FnMut(&GiveBack)) {
        waiter.abandon(self.counted(give_back));
    }

    /// Counts each give-back, for callers that have asked before it and join after the recall. Catches a panic of the
    /// store, because other callers wait for the rest to be given back.
    fn counted(
        &self,
        mut give_back: impl FnMut(&GiveBack),
    ) -> impl FnMut(&GiveBack) -> thread::Result<()> {
        move |what| {
            let result = catch_unwind(AssertUnwindSafe(|| give_back(what)));
            match what.reason {
                Reason::Abandoned => 0,
                Reason::Recalled => self.moves.fetch_add(1, Ordering::SeqCst),
                Reason::Outdated => self.changes.fetch_add(1, Ordering::SeqCst),
            };
            result
        }
    }

    /// Whether the slots of all keys were recalled since a store was asked. As for
    /// [`WaitQueues::have_moved_since`].
    fn have_changed_since(&self, seen: Seen) -> bool {
        seen.changes != Seen::UNKNOWN.changes && self.changes.load(Ordering::SeqCst) != seen.changes
    }

    /// Whether slots were moved or recalled since a store was asked. A move counts first and then looks for slots; a
    /// caller publishes its slot first and then checks the count. At least one of the two sees the other.
    pub(crate) fn have_moved_since(&self, seen: Seen) -> bool {
        seen.moves != Seen::UNKNOWN.moves && self.moves.load(Ordering::SeqCst) != seen.moves
    }

    /// Lets the waiters of a key that have slots move up, because `units` were refunded.
    pub(crate) fn advance(&self, key: Option<&str>, units: u64) {
        self.moves.fetch_add(1, Ordering::SeqCst);
        if let Some(queue) = self.slots.get((), key) {
            queue.advance(units);
        }
    }

    /// Lets the waiters of a key that have slots ask again, because its state was removed.
    pub(crate) fn ask_again(&self, key: Option<&str>) {
        self.moves.fetch_add(1, Ordering::SeqCst);
        if let Some(queue) = self.slots.get((), key) {
            queue.forget();
        }
    }

    /// Takes the slots of all keys from their waiters, because the limit is about to change. They get no slots before
    /// [`HeldSlots`] is dropped: a call that asked by the new limit would find slots of the old one.
    pub(crate) fn hold_all(&self, give_back: impl Fn(Option<&str>, &GiveBack)) -> HeldSlots<'_> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        // Created before anything is given back, so that a panic of the store ends the hold.
        let held = HeldSlots::new(self.all_slots());
        resume(self.recall(&held.0, give_back));
        held
    }

    /// Takes the slots of all keys from their waiters, because the limit has changed. The waiters ask again once
    /// `give_back` has returned.
    pub(crate) fn recall_all(&self, give_back: impl Fn(Option<&str>, &GiveBack)) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let given_back = self.recall(&self.all_slots(), give_back);
        self.notify_all();
        resume(given_back);
    }

    /// Recalls the slots of all `queues`. Returns the first panic of the store.
    fn recall(
        &self,
        queues: &[QueueRef<'_, (), SlotQueue>],
        give_back: impl Fn(Option<&str>, &GiveBack),
    ) -> thread::Result<()> {
        let mut given_back = Ok(());
        for queue in queues {
            let counted = self.counted(|what: &GiveBack| give_back(queue.key(), what));
            given_back = given_back.and(queue.recall(counted));
        }
        given_back
    }

    /// Lets all waiters ask again, because the states of all keys were removed.
    fn forget_all(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
        self.all_slots().iter().for_each(|queue| queue.forget());
        self.notify_all();
    }

    fn all_slots(&self) -> Vec<QueueRef<'_, (), SlotQueue>> {
        match self.slots.is_empty() {
            true => Vec::new(),
            false => self.slots.all(),
        }
    }

    /// Must be called before the limits in force are read and the store is asked.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            notifications: self.notifications.load(Ordering::SeqCst),
            moves: self.moves.load(Ordering::SeqCst),
            changes: self.changes.load(Ordering::SeqCst),
        }
    }

    /// Lets the head of the queue of a key ask again now, because units were refunded.
    pub(crate) fn notify(&self, key: Option<&str>) {
        self.notifications.fetch_add(1, Ordering::SeqCst);
        if let Some(queue) = self.get(key) {
            queue.notify();
        }
    }

    /// Lets the heads of all queues ask again now.
    fn notify_all(&self) {
        self.notifications.fetch_add(1, Ordering::SeqCst);
        if !self.is_empty() {
            for queue in self.waiting.all() {
                queue.notify();
            }
        }
    }
}

/// The queues of the waiters that get no slots while their limit changes.
pub(crate) struct HeldSlots<'a>(Vec<QueueRef<'a, (), SlotQueue>>);

impl<'a> HeldSlots<'a> {
    fn new(queues: Vec<QueueRef<'a, (), SlotQueue>>) -> Self {
        queues.iter().for_each(|queue| queue.hold());
        Self(queues)
    }
}

impl Drop for HeldSlots<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|queue| queue.end_hold());
    }
}

impl Drop for WaitQueues {
    fn drop(&mut self) {
        let Some(key) = self.registered.take() else {
            return;
        };
        with_registry(|registry| {
            // A new limiter may have registered new queues meanwhile.
            if registry
                .get(&key)
                .is_some_and(|queues| queues.strong_count() == 0)
            {
                registry.remove(&key);
            }
            if registry.capacity() > KEPT && registry.len() < registry.capacity() / 4 {
                registry.shrink_to(KEPT.max(registry.len() * 2));
            }
        });
    }
}

/// Lets all waiters of a keyspace in this process ask again, because its state was removed.
pub(crate) fn ask_again_in(keyspace: &str) {
    let is_in = |prefix: &str| {
        let rest = prefix.strip_prefix(keyspace);
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    let queues: Vec<_> = with_registry(|registry| {
        let queues = registry.iter();
        let found = queues.filter(|((_, prefix), _)| is_in(prefix));
        found.filter_map(|(_, queues)| queues.upgrade()).collect()
    });
    for queues in queues {
        queues.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{WaitQueues, with_registry};

    #[test]
    fn limiters_of_one_store_and_prefix_share_their_queues() {
        let (one, two) = (
            WaitQueues::shared(1, &"a".into()),
            WaitQueues::shared(1, &"a".into()),
        );
        assert!(Arc::ptr_eq(&one, &two));
        for (store, prefix) in [(2, "a"), (1, "b")] {
            assert!(!Arc::ptr_eq(
                &one,
                &WaitQueues::shared(store, &prefix.into())
            ));
        }
    }

    #[test]
    fn queues_of_limiters_that_are_gone_are_purged() {
        let kept = WaitQueues::shared(3, &"kept".into());
        for number in 0..10_000 {
            WaitQueues::shared(3, &number.to_string().into());
        }
        assert!(with_registry(|registry| registry.len()) < 1_000);
        assert!(Arc::ptr_eq(&kept, &WaitQueues::shared(3, &"kept".into())));
    }

    #[test]
    fn a_notification_before_a_caller_joins_is_not_missed() {
        let queues = WaitQueues::default();
        let seen = queues.seen();
        queues.notify(Some("k"));
        let waiter = queues.join(queues.enter(Some("k")), 1, 7, seen);
        assert_eq!(queues.get(Some("k")).unwrap().head().unwrap().ask_at, 0);
        queues.ask_at(&waiter, 8, queues.seen());
        assert_eq!(queues.get(Some("k")).unwrap().head().unwrap().ask_at, 8);
        queues.notify_all();
        assert_eq!(queues.get(Some("k")).unwrap().head().unwrap().ask_at, 0);
        drop(waiter);
        assert!(queues.is_empty() && !queues.contains(Some("k")));
    }
}
