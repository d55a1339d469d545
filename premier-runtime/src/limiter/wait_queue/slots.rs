//! The reserved slots of the callers that wait for one leaky bucket.
//!
//! A leaky bucket tells each caller when its slot begins, and each sleeps until then, whether or not
//! others use theirs. A caller that leaves gives its slot to those behind it: they move up, and the
//! last slot goes back to the store.
//!
//! As a rule all calls cost the same: [`EqualSlots`] then lets thousands move up at once. Calls of
//! different costs have slots of different lengths, which [`MixedSlots`] moves one by one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::equal_slots::EqualSlots;
use super::map::QueueRef;
use super::mixed_slots::{Intervals, MixedSlots, Waiter};
use super::order::Order;
use super::wakers::Wakers;
use crate::limit::decision::Reservation;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SlotQueue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Slots,
    /// Slots to be given back to the store, with their units. A store takes back its last slot only,
    /// so that their order matters.
    freed: VecDeque<(Reservation, u64)>,
    /// Whether they are being given back.
    is_releasing: bool,
}

#[derive(Debug)]
enum Slots {
    Equal(Kind, EqualSlots),
    Mixed(MixedSlots),
}

/// What slots have in common that can stand for one another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Kind {
    units: u64,
    /// In which limits there is a slot.
    limits: [bool; Reservation::LIMITS],
    from_fallback: bool,
}

impl Kind {
    fn of(units: u64, reservation: &Reservation) -> Self {
        Self {
            units,
            limits: std::array::from_fn(|index| reservation.end(index) != 0),
            from_fallback: reservation.from_fallback,
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::Equal(Kind::default(), EqualSlots::default())
    }
}

impl Slots {
    /// Takes in a waiter whose slot of `units` begins `at`.
    fn join(
        &mut self,
        at: u64,
        units: u64,
        reservation: Reservation,
        wakers: &mut Wakers,
    ) -> Order {
        let newcomer = Kind::of(units, &reservation);
        // The reservations of a store that does not say where its slots end belong to one caller.
        let equals = newcomer.limits.contains(&true);
        let is_empty = match self {
            Self::Equal(_, slots) => slots.is_empty(),
            Self::Mixed(slots) => slots.is_empty(),
        };
        if is_empty && equals {
            *self = Self::Equal(newcomer, EqualSlots::default());
        }
        match self {
            Self::Equal(kind, slots) if equals && *kind == newcomer => slots.join(at, reservation),
            _ => self.mix(wakers).join(Waiter {
                units,
                at,
                reservation,
                waker: None,
            }),
        }
    }

    /// Slots that need not be equal.
    fn mix(&mut self, wakers: &mut Wakers) -> &mut MixedSlots {
        if let Self::Equal(kind, slots) = self {
            let mut mixed = MixedSlots::default();
            for owner in std::mem::take(slots).into_owners(wakers) {
                let waiter = Waiter {
                    units: kind.units,
                    at: owner.at,
                    reservation: owner.reservation,
                    waker: owner.waker,
                };
                mixed.push(owner.order, waiter);
            }
            *self = Self::Mixed(mixed);
        }
        match self {
            Self::Mixed(mixed) => mixed,
            Self::Equal(..) => unreachable!("they have just been mixed"),
        }
    }
}

impl SlotQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next slot to be given back, for the one that gives them back.
    fn next_freed(&self) -> Option<(Reservation, u64)> {
        let mut inner = self.lock();
        let next = inner.freed.pop_front();
        inner.is_releasing = next.is_some();
        next
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::default();
        let result = change(&mut self.lock(), &mut wakers);
        wakers.wake();
        result
    }
}

/// A caller that has a slot. Dropping it says that the slot was used; see
/// [`SlotWaiter::abandon`].
#[derive(Debug)]
pub(crate) struct SlotWaiter<'a> {
    queue: QueueRef<'a, Intervals, SlotQueue>,
    order: Order,
    /// Whether it has left. Another waiter may have its order since.
    has_left: bool,
}

impl<'a> SlotWaiter<'a> {
    /// Joins those who have slots. This one is of `units` and begins `at`.
    pub(super) fn join(
        queue: QueueRef<'a, Intervals, SlotQueue>,
        at: u64,
        units: u64,
        reservation: Reservation,
    ) -> Self {
        let order = queue.with(|inner, wakers| inner.slots.join(at, units, reservation, wakers));
        Self {
            queue,
            order,
            has_left: false,
        }
    }

    /// Until when to sleep: the slot has come once that is no later than `now`. `waker` is woken when
    /// it becomes earlier.
    pub(crate) fn sleep_until(&self, now: u64, waker: &Waker) -> u64 {
        let waker = waker.clone();
        self.queue.with(|inner, wakers| match &mut inner.slots {
            Slots::Equal(_, slots) => slots.poll(self.order, now, waker, wakers),
            Slots::Mixed(slots) => slots.poll(self.order, waker, wakers),
        })
    }

    /// Gives the slot up without having used it. Those behind move up. The slots that are left over
    /// at the end are passed to `release`, with their units, to be given back to the store: in the
    /// order in which they were left over, also those of others that leave meanwhile.
    pub(crate) fn abandon(mut self, mut release: impl FnMut(Reservation, u64)) {
        self.has_left = true;
        let is_first = self.queue.with(|inner, wakers| {
            let freed = match &mut inner.slots {
                Slots::Equal(kind, slots) => {
                    let reservation = slots.leave(self.order, wakers);
                    reservation.map(|reservation| (reservation, kind.units))
                }
                Slots::Mixed(slots) => slots.leave(self.order, self.queue.kind(), wakers),
            };
            inner.freed.extend(freed);
            !std::mem::replace(&mut inner.is_releasing, true)
        });
        if is_first {
            while let Some((reservation, units)) = self.queue.next_freed() {
                release(reservation, units);
            }
        }
    }
}

impl Drop for SlotWaiter<'_> {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        self.queue.with(|inner, wakers| match &mut inner.slots {
            Slots::Equal(_, slots) => slots.used(self.order, wakers),
            Slots::Mixed(slots) => slots.used(self.order, wakers),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::{Intervals, SlotQueue, SlotWaiter};
    use crate::algorithms::Plan;
    use crate::limit::decision::Reservation;
    use crate::limit::quota::Limit;
    use crate::limiter::wait_queue::map::QueueMap;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn equal_slots_that_have_moved_up_stay_where_they_are_when_another_length_joins() {
        let plan = Plan::new(Limit::leaky_bucket(1, Duration::from_secs(1))).unwrap();
        let queues = QueueMap::<_, SlotQueue>::default();
        let join = |begin: u64, units: u64| {
            let queue = queues.enter(Intervals::of(&[plan]), None);
            let end = u128::from((begin + units) * SECOND);
            SlotWaiter::join(queue, begin * SECOND, units, Reservation::ending(end))
        };
        let begin = |waiter: &SlotWaiter<'_>| waiter.sleep_until(0, Waker::noop()) / SECOND;
        let first = join(1, 1);
        let (second, third) = (join(2, 1), join(3, 1));
        let left = |waiter: SlotWaiter<'_>| {
            let mut left = None;
            waiter.abandon(|reservation, units| {
                left = Some((reservation.end(0) / u128::from(SECOND), units));
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
