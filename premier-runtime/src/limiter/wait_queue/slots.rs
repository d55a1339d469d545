//! The reserved slots of the callers that wait for one bucket.
//!
//! A bucket tells each caller when its slot begins, and each sleeps until then, whether or not others
//! use theirs. A caller that leaves gives its slot to those behind it: they move up, and the last slot
//! goes back to the store. Units that are given back let all move up. When the limit changes, all slots
//! are given back at once, by the limits under which they were taken, and their owners ask again; they keep
//! their order.
//!
//! As a rule all calls cost the same: [`EqualSlots`] then lets thousands move up at once. Calls of
//! different costs have slots of different lengths, which [`MixedSlots`] moves one by one.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;
use std::thread;

use super::equal_slots::EqualSlots;
use super::give_back::{GiveBack, GiveBacks, Reason};
use super::map::QueueRef;
use super::mixed_slots::{MixedSlots, Waiter};
use super::order::{self, Order};
use super::spacing::Spacing;
use super::wakers::Wakers;
use crate::algorithms::Plan;
use crate::limit::decision::Reservation;
use crate::store::request::Operation;
use crate::sync::{Mutex, MutexGuard, lock};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SlotQueue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Slots,
    /// The limits under which the slots were taken, if there are any, and their distances.
    plans: Arc<[Plan]>,
    spacing: Spacing,
    /// The callers whose slots are of other limits than those of the others, because they have just changed
    /// or because functions share a name and not their limits. They do not move up when others leave.
    apart: BTreeMap<Order, (Arc<[Plan]>, Waiter)>,
    /// The largest order of a waiter so far.
    newest: Order,
    give_backs: GiveBacks,
    /// How often all slots were recalled.
    recalls: u64,
    /// The callers that have no slot since. The first asks again, then the next, so that they keep their
    /// order.
    without_slot: BTreeMap<Order, Option<Waker>>,
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
    fn is_empty(&self) -> bool {
        match self {
            Self::Equal(_, slots) => slots.is_empty(),
            Self::Mixed(slots) => slots.is_empty(),
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
                mixed.join(owner.order, waiter);
            }
            *self = Self::Mixed(mixed);
        }
        match self {
            Self::Mixed(mixed) => mixed,
            Self::Equal(..) => unreachable!("they have just been mixed"),
        }
    }
}

/// A slot that a store has given to a caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// When it begins, in nanoseconds of the store's clock.
    pub(crate) at: u64,
    pub(crate) units: u64,
    pub(crate) reservation: Reservation,
}

impl Slot {
    /// Whether the slot is one of these limits.
    pub(crate) fn is_of(&self, plans: &[Plan]) -> bool {
        Spacing::of(plans).begin(&self.reservation, self.units) == self.at
    }
}

impl Inner {
    /// Takes in a waiter, which may have had an order before.
    fn join(
        &mut self,
        plans: &Arc<[Plan]>,
        slot: Slot,
        had: Option<Order>,
        wakers: &mut Wakers,
    ) -> Order {
        if !Arc::ptr_eq(&self.plans, plans) {
            let spacing = Spacing::of(plans);
            if self.slots.is_empty() {
                (self.plans, self.spacing) = (Arc::clone(plans), spacing);
            }
            if self.spacing != spacing {
                let order = had.unwrap_or_else(|| order::between(0, None, self.newest));
                self.newest = self.newest.max(order);
                let waiter = (Arc::clone(plans), Waiter::from(slot));
                self.apart.insert(order, waiter);
                return order;
            }
        }
        let Slot {
            at,
            units,
            reservation,
        } = slot;
        let newcomer = Kind::of(units, &reservation);
        // The reservations of a store that does not say where its slots end belong to one caller.
        let equals = newcomer.limits.contains(&true);
        if self.slots.is_empty() && equals {
            self.slots = Slots::Equal(newcomer, EqualSlots::default());
        }
        let (newest, is_complete) = (self.newest, self.without_slot.is_empty());
        let place = |by_slot: &dyn Fn() -> Order| match had {
            Some(order) => order,
            None if is_complete => by_slot(),
            // Behind those who will ask again.
            None => order::between(0, None, newest),
        };
        let order = match &mut self.slots {
            Slots::Equal(kind, slots) if equals && *kind == newcomer => {
                let order = place(&|| slots.place(at, newest));
                slots.join(order, at, reservation);
                order
            }
            slots => {
                let mixed = slots.mix(wakers);
                let order = place(&|| mixed.place(at, newest));
                mixed.join(order, Waiter::from(slot));
                order
            }
        };
        self.newest = self.newest.max(order);
        order
    }
}

impl From<Slot> for Waiter {
    fn from(slot: Slot) -> Self {
        let Slot {
            at,
            units,
            reservation,
        } = slot;
        Self {
            units,
            at,
            reservation,
            waker: None,
        }
    }
}

impl SlotQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::default();
        let result = change(&mut self.lock(), &mut wakers);
        wakers.wake();
        result
    }

    /// Takes all slots from their owners, because the limit changes, to be given back by `give_back`. The
    /// owners ask again afterwards.
    pub(super) fn recall(&self, give_back: impl FnMut(&GiveBack) -> thread::Result<()>) {
        let starts = self.with(|inner, wakers| {
            for recalled in inner.recall(Reason::Outdated) {
                inner.give_backs.add(recalled);
            }
            inner.wake_first_without_slot(wakers);
            inner.give_backs.start()
        });
        if starts {
            self.give_back(give_back);
        }
    }

    /// Lets nobody have a slot until [`SlotQueue::end_hold`].
    pub(super) fn hold(&self) {
        self.lock().give_backs.hold();
    }

    pub(super) fn end_hold(&self) {
        self.with(|inner, wakers| {
            inner.give_backs.end_hold();
            inner.wake_first_without_slot(wakers);
        });
    }

    /// Takes all slots from their owners, who ask again, because the state is gone.
    pub(super) fn forget(&self) {
        self.with(|inner, wakers| {
            inner.recall(Reason::Recalled);
            inner.wake_first_without_slot(wakers);
        });
    }

    /// Gives back what is queued, including what other callers queue meanwhile. They rely on it, so a panic of
    /// `give_back` is resumed only at the end.
    fn give_back(&self, mut give_back: impl FnMut(&GiveBack) -> thread::Result<()>) {
        let (mut done, mut panicked) = (None, Ok(()));
        while let Some(next) = self.with(|inner, wakers| {
            let next = inner.give_backs.next(done.take());
            inner.wake_first_without_slot(wakers);
            next
        }) {
            panicked = panicked.and(give_back(&next));
            done = Some(next);
        }
        if let Err(panic) = panicked {
            resume_unwind(panic);
        }
    }

    /// Lets all callers move up, because `units` were given back to the store.
    pub(super) fn advance(&self, units: u64) {
        self.with(|inner, wakers| {
            let spacing = inner.spacing;
            match &mut inner.slots {
                Slots::Equal(kind, slots) => {
                    let steps = units.checked_div(kind.units).unwrap_or(0);
                    for _ in 0..steps.min(slots.len()) {
                        let earlier = |slot: &Reservation| {
                            let slot = spacing.earlier(slot, kind.units);
                            (spacing.begin(&slot, kind.units), slot)
                        };
                        slots.advance(earlier, wakers);
                    }
                }
                Slots::Mixed(slots) => slots.advance(units, &spacing, wakers),
            }
            for (plans, waiter) in inner.apart.values_mut() {
                waiter.move_up(units, &Spacing::of(plans), wakers);
            }
        });
    }
}

/// What a caller that has a slot does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// Sleeps until then; the slot has come once that has passed.
    SleepUntil(u64),
    /// Asks the store again, because its slot was recalled.
    AskAgain,
}

/// A caller that has a slot. Dropping it says that the slot was used; see
/// [`SlotWaiter::abandon`].
#[derive(Debug)]
pub(crate) struct SlotWaiter<'a> {
    queue: QueueRef<'a, (), SlotQueue>,
    order: Order,
    recalls: u64,
    /// Whether it has left. Another waiter may have its order since.
    has_left: bool,
}

/// What became of the slot of a caller that joins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Joined {
    /// The caller has it.
    WithSlot,
    /// The slots of others were given back, or are being given back, and the store may have counted them when
    /// it gave this one. So all give back what they have, and the caller asks again after the others.
    Recalled,
}

/// A slot that a caller has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakenSlot<'a> {
    pub(crate) slot: Slot,
    /// The limits under which it was taken.
    pub(crate) plans: &'a Arc<[Plan]>,
    /// Whether other limits are in force now.
    pub(crate) is_outdated: bool,
}

impl<'a> SlotWaiter<'a> {
    /// Joins those who have slots, unless `is_recalled` under the lock.
    pub(super) fn join(
        queue: QueueRef<'a, (), SlotQueue>,
        taken: TakenSlot<'_>,
        is_recalled: impl FnOnce() -> bool,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> (Self, Joined) {
        let mut waiter = Self {
            queue,
            order: 0,
            recalls: 0,
            has_left: false,
        };
        let joined = waiter.enter(None, taken, is_recalled, give_back);
        (waiter, joined)
    }

    /// Joins again, with another slot, after a recall. The place among those who were recalled stays.
    pub(super) fn rejoin(
        &mut self,
        taken: TakenSlot<'_>,
        is_recalled: impl FnOnce() -> bool,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> Joined {
        self.enter(Some(self.order), taken, is_recalled, give_back)
    }

    fn enter(
        &mut self,
        had: Option<Order>,
        taken: TakenSlot<'_>,
        is_recalled: impl FnOnce() -> bool,
        give_back: impl FnMut(&GiveBack) -> thread::Result<()>,
    ) -> Joined {
        let (joined, starts) = self.queue.with(|inner, wakers| {
            if inner.give_backs.are_held() || is_recalled() {
                self.order = had.unwrap_or_else(|| order::between(0, None, inner.newest));
                inner.newest = inner.newest.max(self.order);
                inner.without_slot.entry(self.order).or_default();
                self.recalls = inner.recalls;
                for recalled in inner.recall(Reason::Recalled) {
                    inner.give_backs.add(recalled);
                }
                inner.give_backs.add(taken.give_back());
                return (Joined::Recalled, inner.give_backs.start());
            }
            self.order = inner.join(taken.plans, taken.slot, had, wakers);
            self.recalls = inner.recalls;
            if had.is_some() {
                inner.leave_those_without_slot(self.order, wakers);
            }
            (Joined::WithSlot, false)
        });
        if starts {
            self.queue.give_back(give_back);
        }
        joined
    }

    /// What the caller does now. `waker` is woken when that changes.
    pub(crate) fn poll(&self, now: u64, waker: &Waker) -> Turn {
        let waker = waker.clone();
        self.queue.with(|inner, wakers| {
            if inner.recalls != self.recalls {
                if !inner.give_backs.are_held() && inner.is_first_without_slot(self.order) {
                    wakers.unused.push(waker);
                    return Turn::AskAgain;
                }
                let old = inner.without_slot.insert(self.order, Some(waker));
                wakers.unused.extend(old.flatten());
                return Turn::SleepUntil(u64::MAX);
            }
            if let Some((_, waiter)) = inner.apart.get_mut(&self.order) {
                wakers.unused.extend(waiter.waker.replace(waker));
                return Turn::SleepUntil(waiter.at);
            }
            Turn::SleepUntil(match &mut inner.slots {
                Slots::Equal(_, slots) => slots.poll(self.order, now, waker, wakers),
                Slots::Mixed(slots) => slots.poll(self.order, waker, wakers),
            })
        })
    }

    /// Gives the slot up without having used it. Those behind move up. The slot that is left over at the end
    /// is given back by `give_back`, and so is what others give up meanwhile.
    pub(super) fn abandon(mut self, give_back: impl FnMut(&GiveBack) -> thread::Result<()>) {
        self.has_left = true;
        let starts = self.queue.with(|inner, wakers| {
            if inner.recalls != self.recalls {
                inner.leave_those_without_slot(self.order, wakers);
                return false;
            }
            let (plans, freed) = match (inner.apart.remove(&self.order), &mut inner.slots) {
                (Some((plans, gone)), _) => {
                    wakers.unused.extend(gone.waker);
                    (plans, Some((gone.reservation, gone.units)))
                }
                (None, Slots::Equal(kind, slots)) => {
                    let reservation = slots.leave(self.order, wakers);
                    let freed = reservation.map(|reservation| (reservation, kind.units));
                    (Arc::clone(&inner.plans), freed)
                }
                (None, Slots::Mixed(slots)) => {
                    let freed = slots.leave(self.order, &inner.spacing, wakers);
                    (Arc::clone(&inner.plans), freed)
                }
            };
            if let Some((reservation, units)) = freed {
                inner.give_backs.add(GiveBack {
                    plans,
                    operation: Operation::Release(reservation, units),
                    from_fallback: reservation.from_fallback,
                    reason: Reason::Abandoned,
                });
            }
            inner.give_backs.start()
        });
        if starts {
            self.queue.give_back(give_back);
        }
    }
}

impl TakenSlot<'_> {
    /// The units of a caller that asks again. Whether its slot is the last one does not matter, because nobody
    /// has one then.
    fn give_back(&self) -> GiveBack {
        let Slot {
            units, reservation, ..
        } = self.slot;
        GiveBack {
            plans: Arc::clone(self.plans),
            operation: Operation::Release(reservation.without_slots(), units),
            from_fallback: reservation.from_fallback,
            reason: match self.is_outdated {
                true => Reason::Outdated,
                false => Reason::Recalled,
            },
        }
    }
}

impl Inner {
    /// Takes all slots from their owners, who have to ask again. Returns what they have taken.
    fn recall(&mut self, reason: Reason) -> Vec<GiveBack> {
        self.recalls += 1;
        let mut recalled = Vec::new();
        let mut add = |plans: &Arc<[Plan]>, units: u64, from_fallback| {
            if units > 0 {
                recalled.push(GiveBack {
                    plans: Arc::clone(plans),
                    operation: Operation::Refund(units),
                    from_fallback,
                    reason,
                });
            }
        };
        for (order, (plans, waiter)) in std::mem::take(&mut self.apart) {
            add(&plans, waiter.units, waiter.reservation.from_fallback);
            self.without_slot.insert(order, waiter.waker);
        }
        // Those taken from the store, and those from its fallback.
        let mut units = [0_u64; 2];
        let mut take = |more: u64, from_fallback: bool| {
            let units = &mut units[usize::from(from_fallback)];
            *units = units.saturating_add(more);
        };
        match std::mem::take(&mut self.slots) {
            Slots::Equal(kind, slots) => {
                let waiters = slots.into_waiters();
                self.without_slot
                    .extend(waiters.inspect(|_| take(kind.units, kind.from_fallback)));
            }
            Slots::Mixed(slots) => {
                let waiters = slots.into_waiters();
                self.without_slot.extend(waiters.map(|(order, waiter)| {
                    take(waiter.units, waiter.reservation.from_fallback);
                    (order, waiter.waker)
                }));
            }
        }
        add(&self.plans, units[0], false);
        add(&self.plans, units[1], true);
        recalled
    }

    fn is_first_without_slot(&self, order: Order) -> bool {
        let first = self.without_slot.first_key_value();
        first.is_none_or(|(first, _)| *first == order)
    }

    fn leave_those_without_slot(&mut self, order: Order, wakers: &mut Wakers) {
        let gone = self.without_slot.remove(&order);
        wakers.unused.extend(gone.flatten());
        self.wake_first_without_slot(wakers);
    }

    fn wake_first_without_slot(&mut self, wakers: &mut Wakers) {
        if !self.give_backs.are_held()
            && let Some(mut first) = self.without_slot.first_entry()
        {
            wakers.woken.extend(first.get_mut().take());
        }
    }
}

impl Drop for SlotWaiter<'_> {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        self.queue.with(|inner, wakers| {
            if inner.recalls != self.recalls {
                inner.leave_those_without_slot(self.order, wakers);
                return;
            }
            match (inner.apart.remove(&self.order), &mut inner.slots) {
                (Some((_, gone)), _) => wakers.unused.extend(gone.waker),
                (None, Slots::Equal(_, slots)) => slots.used(self.order, wakers),
                (None, Slots::Mixed(slots)) => slots.used(self.order, wakers),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::{Arc, Operation, Slot, SlotQueue, SlotWaiter, TakenSlot, Turn};
    use crate::algorithms::Plan;
    use crate::limit::decision::Reservation;
    use crate::limit::quota::Limit;
    use crate::limiter::wait_queue::map::QueueMap;

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
