//! The queue of the waiters of one bucket, each of which has a reserved slot.
//!
//! The decision of a bucket contains when the slot of the call begins. Each caller sleeps until then, whether or not
//! others use their slots. A waiter that leaves gives its slot to the waiters behind it: they move up, and the last slot
//! goes back to the store. A refund lets all move up. When the limit changes, all slots are given back at once,
//! by the limits under which they were taken, and their waiters ask again, in the order that they had.
//!
//! As a rule all calls have one cost: [`EqualSlots`](super::equal_slots::EqualSlots) then lets thousands move up
//! at once. Calls of different costs have slots of different lengths, which
//! [`MixedSlots`](super::mixed_slots::MixedSlots) moves one by one.

use std::task::Waker;
use std::thread;

use super::give_back::{GiveBack, Reason, resume};
use super::map::QueueRef;
use super::order::Order;
use super::slot_waiters::{Place, SlotWaiters, Turn};
use super::slots::TakenSlot;
use super::wakers::Wakers;
use crate::sync::{Mutex, MutexGuard, lock};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SlotQueue {
    waiters: Mutex<SlotWaiters>,
}

impl SlotQueue {
    fn lock(&self) -> MutexGuard<'_, SlotWaiters> {
        lock(&self.waiters)
    }

    fn with<T>(&self, change: impl FnOnce(&mut SlotWaiters, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::default();
        let result = change(&mut self.lock(), &mut wakers);
        wakers.wake();
        result
    }

    /// Takes all slots from their waiters, because the limit changes, to be given back by `give_back`. The
    /// waiters ask again afterwards.
    pub(super) fn recall(
        &self,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> thread::Result<()> {
        let starts = self.with(|waiters, wakers| {
            waiters.recall(Reason::Outdated);
            waiters.wake_first_without_slot(wakers);
            waiters.give_backs.start()
        });
        match starts {
            true => self.give_back(give_back),
            false => Ok(()),
        }
    }

    /// Lets no waiter have a slot until [`SlotQueue::end_hold`].
    pub(super) fn hold(&self) {
        self.lock().give_backs.hold();
    }

    pub(super) fn end_hold(&self) {
        self.with(|waiters, wakers| {
            waiters.give_backs.end_hold();
            waiters.wake_first_without_slot(wakers);
        });
    }

    /// Takes all slots from their waiters, which ask again, because the state was removed.
    pub(super) fn forget(&self) {
        self.with(|waiters, wakers| {
            waiters.forget(Reason::Recalled);
            waiters.wake_first_without_slot(wakers);
        });
    }

    /// Gives back all queued items, including items that other callers queue meanwhile. They rely on this caller, so
    /// it goes on after a panic of the store. Returns the first panic.
    fn give_back(
        &self,
        mut give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> thread::Result<()> {
        let (mut done, mut given_back) = (None, Ok(()));
        while let Some(next) = self.with(|waiters, wakers| {
            let next = waiters.give_backs.next(done.take());
            waiters.wake_first_without_slot(wakers);
            next
        }) {
            given_back = given_back.and(give_back(&next));
            done = Some(next);
        }
        given_back
    }

    /// Lets all waiters move up, because `units` were refunded.
    pub(super) fn advance(&self, units: u64) {
        self.with(|waiters, wakers| waiters.advance(units, wakers));
    }
}

/// A caller that has a slot. Dropping it means that the slot was used; see
/// [`SlotWaiter::abandon`].
#[derive(Debug)]
pub(crate) struct SlotWaiter<'a> {
    queue: QueueRef<'a, (), SlotQueue>,
    /// `None` once it has left. Another waiter may have its order then.
    place: Option<Place>,
}

/// What became of the slot of a caller that joins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Joined {
    /// The caller has it.
    WithSlot,
    /// Slots of other waiters were recalled, and the store may have counted them when it gave this slot. So all
    /// waiters give back their slots, and the caller asks again behind them.
    Recalled,
}

impl<'a> SlotWaiter<'a> {
    /// Joins the waiters that have slots, unless `is_recalled` under the lock.
    pub(super) fn join(
        queue: QueueRef<'a, (), SlotQueue>,
        taken: TakenSlot<'_>,
        is_recalled: impl FnOnce() -> bool,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> (Self, Joined) {
        let mut waiter = Self { queue, place: None };
        let joined = waiter.rejoin(taken, is_recalled, give_back);
        (waiter, joined)
    }

    /// Joins with another slot after a recall. The order among the recalled waiters stays.
    pub(super) fn rejoin(
        &mut self,
        taken: TakenSlot<'_>,
        is_recalled: impl FnOnce() -> bool,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> Joined {
        let had: Option<Order> = self.place.map(|place| place.order);
        let (place, joined, starts) = self.queue.with(|waiters, wakers| {
            if waiters.give_backs.are_held() || is_recalled() {
                let place = waiters.join_without_slot(taken, had);
                return (place, Joined::Recalled, waiters.give_backs.start());
            }
            let place = waiters.join(taken, had, wakers);
            (place, Joined::WithSlot, false)
        });
        self.place = Some(place);
        if starts {
            resume(self.queue.give_back(give_back));
        }
        joined
    }

    /// What the caller does now. `waker` is woken when that changes.
    pub(crate) fn poll(&self, now: u64, waker: &Waker) -> Turn {
        let Some(place) = self.place else {
            return Turn::AskAgain;
        };
        let waker = waker.clone();
        self.queue
            .with(|waiters, wakers| waiters.poll(place, now, waker, wakers))
    }

    /// Gives the slot up without having used it. The waiters behind it move up. The slot that is free afterwards is
    /// given back by `give_back`, and so is what other waiters give up meanwhile.
    pub(super) fn abandon(mut self, give_back: impl FnMut(&GiveBack) -> thread::Result<()>) {
        let Some(place) = self.place.take() else {
            return;
        };
        let starts = self.queue.with(|waiters, wakers| {
            waiters.leave(place, wakers);
            waiters.give_backs.start()
        });
        if starts {
            resume(self.queue.give_back(give_back));
        }
    }
}

impl Drop for SlotWaiter<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.queue
                .with(|waiters, wakers| waiters.used(place, wakers));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use super::{SlotQueue, SlotWaiter, TakenSlot, Turn};
    use crate::algorithms::Plan;
    use crate::limit::decision::Reservation;
    use crate::limit::quota::Limit;
    use crate::limiter::wait_queue::map::QueueMap;
    use crate::limiter::wait_queue::slots::Slot;
    use crate::store::request::Operation;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn equal_slots_that_have_moved_up_stay_where_they_are_when_another_length_joins() {
        let plan = Plan::new(Limit::leaky_bucket(1, Duration::from_secs(1))).unwrap();
        let plans: Arc<[Plan]> = [plan].into();
        let queues = QueueMap::<_, SlotQueue>::default();
        let join = |begin: u64, units: u64| {
            let end = u128::from((begin + units) * SECOND);
            let slot = Slot {
                at: begin * SECOND,
                units,
                reservation: Reservation::ending(end),
            };
            let queue = queues.enter((), None);
            let taken = TakenSlot {
                slot,
                plans: &plans,
                is_outdated: false,
            };
            SlotWaiter::join(queue, taken, || false, |_| unreachable!()).0
        };
        let begin = |waiter: &SlotWaiter<'_>| match waiter.poll(0, Waker::noop()) {
            Turn::SleepUntil(at) => at / SECOND,
            Turn::AskAgain => panic!("nothing was recalled"),
        };
        let first = join(1, 1);
        let (second, third) = (join(2, 1), join(3, 1));
        let left = |waiter: SlotWaiter<'_>| {
            let mut left = None;
            waiter.abandon(|given| {
                if let Operation::Release(slot, units) = given.operation {
                    left = Some((slot.end(0) / u128::from(SECOND), units));
                }
                Ok(())
            });
            left.unwrap()
        };
        assert_eq!(left(first), (4, 1));
        let long = join(3, 2);
        assert_eq!([&second, &third, &long].map(begin), [1, 2, 3]);
        assert_eq!(left(second), (5, 1));
        assert_eq!([&third, &long].map(begin), [1, 2]);
        // Used, not given up: the other one does not move.
        drop(third);
        assert_eq!(begin(&long), 2);
        assert_eq!(left(long), (4, 2));
        assert!(queues.is_empty());
    }
}
