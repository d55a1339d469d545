//! The reserved slots of the callers that wait for one bucket.
//!
//! A bucket tells each caller when its slot begins, and each sleeps until then, whether or not others
//! use theirs. A caller that leaves gives its slot to those behind it: they move up, and the last slot
//! goes back to the store. Units that are given back let all move up. When the limit changes, all slots
//! are given back at once and their owners ask again; they keep their order.
//!
//! As a rule all calls cost the same: [`EqualSlots`] then lets thousands move up at once. Calls of
//! different costs have slots of different lengths, which [`MixedSlots`] moves one by one.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::equal_slots::EqualSlots;
use super::map::QueueRef;
use super::mixed_slots::{MixedSlots, Waiter};
use super::order::{self, Order};
use super::spacing::Spacing;
use super::wakers::Wakers;
use crate::limit::decision::Reservation;
use crate::sync::{Mutex, MutexGuard, lock};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SlotQueue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Slots,
    /// That of the slots, if there are any.
    spacing: Spacing,
    /// The callers whose slots are of another limit than those of the others, because it has just changed
    /// or because functions share a name and not their limits. They do not move up when others leave.
    apart: BTreeMap<Order, (Spacing, Waiter)>,
    /// The largest order of a waiter so far.
    newest: Order,
    /// Slots to be given back to the store, with their units. A store takes back its last slot only,
    /// so that their order matters.
    freed: VecDeque<(Reservation, u64)>,
    /// Whether they are being given back.
    is_releasing: bool,
    /// How often all slots were given back.
    recalls: u64,
    /// The callers that have no slot since. The first asks again, then the next, so that they keep their
    /// order.
    without_slot: BTreeMap<Order, Option<Waker>>,
    /// How many recalls have not given the units back yet. Nobody asks again before.
    recalling: usize,
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

impl Inner {
    /// Takes in a waiter, which may have had an order before.
    fn join(
        &mut self,
        slot: Slot,
        spacing: Spacing,
        had: Option<Order>,
        wakers: &mut Wakers,
    ) -> Order {
        if self.slots.is_empty() {
            self.spacing = spacing;
        }
        if self.spacing != spacing {
            let order = had.unwrap_or_else(|| order::between(0, None, self.newest));
            self.newest = self.newest.max(order);
            self.apart.insert(order, (spacing, Waiter::from(slot)));
            return order;
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

/// What callers have given back who were recalled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecalledUnits {
    pub(crate) units: u64,
    /// Those taken from the fallback of the store.
    pub(crate) of_fallback: u64,
}

impl SlotQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
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

    /// Takes all slots from their owners and passes their units to `give_back`. The owners ask again
    /// afterwards.
    pub(super) fn recall(&self, give_back: impl FnOnce(RecalledUnits)) {
        let mut recalled = RecalledUnits::default();
        let mut inner = self.lock();
        if inner.slots.is_empty() && inner.apart.is_empty() {
            return;
        }
        let mut take = |order, units: u64, from_fallback, waker| {
            let sum = match from_fallback {
                true => &mut recalled.of_fallback,
                false => &mut recalled.units,
            };
            *sum = sum.saturating_add(units);
            (order, waker)
        };
        let Inner {
            slots,
            apart,
            without_slot,
            ..
        } = &mut *inner;
        // Their units are of another length, so they are not given back: that errs on the side of the limit.
        let of_other_limits = std::mem::take(apart).into_iter();
        without_slot.extend(of_other_limits.map(|(order, (_, waiter))| (order, waiter.waker)));
        match std::mem::take(slots) {
            Slots::Equal(kind, slots) => {
                let owners = slots.into_waiters();
                without_slot.extend(
                    owners.map(|(order, waker)| take(order, kind.units, kind.from_fallback, waker)),
                );
            }
            Slots::Mixed(slots) => {
                let owners = slots.into_waiters();
                without_slot.extend(owners.map(|(order, waiter)| {
                    let from_fallback = waiter.reservation.from_fallback;
                    take(order, waiter.units, from_fallback, waiter.waker)
                }));
            }
        }
        inner.recalls += 1;
        inner.recalling += 1;
        drop(inner);
        give_back(recalled);
        self.with(|inner, wakers| {
            inner.recalling -= 1;
            inner.wake_first_without_slot(wakers);
        });
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
            for (spacing, waiter) in inner.apart.values_mut() {
                waiter.move_up(units, spacing, wakers);
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
    /// The slots of the others are being given back, and the store may have counted them when it gave this
    /// one. So the caller has none, asks again after the others, and gives this one back.
    Recalled,
}

impl<'a> SlotWaiter<'a> {
    /// Joins those who have slots.
    pub(super) fn join(
        queue: QueueRef<'a, (), SlotQueue>,
        slot: Slot,
        spacing: Spacing,
    ) -> (Self, Joined) {
        let (order, recalls, joined) = queue.with(|inner, wakers| {
            if inner.recalling > 0 {
                let order = order::between(0, None, inner.newest);
                inner.newest = order;
                inner.without_slot.insert(order, None);
                return (order, inner.recalls - 1, Joined::Recalled);
            }
            let order = inner.join(slot, spacing, None, wakers);
            (order, inner.recalls, Joined::WithSlot)
        });
        let waiter = Self {
            queue,
            order,
            recalls,
            has_left: false,
        };
        (waiter, joined)
    }

    /// Joins again, with another slot, after a recall. The place among those who were recalled stays.
    pub(super) fn rejoin(&mut self, slot: Slot, spacing: Spacing) -> Joined {
        let had = self.order;
        let (order, recalls, joined) = self.queue.with(|inner, wakers| {
            if inner.recalling > 0 {
                return (had, self.recalls, Joined::Recalled);
            }
            let order = inner.join(slot, spacing, Some(had), wakers);
            inner.leave_those_without_slot(had, wakers);
            (order, inner.recalls, Joined::WithSlot)
        });
        (self.order, self.recalls) = (order, recalls);
        joined
    }

    /// What the caller does now. `waker` is woken when that changes.
    pub(crate) fn poll(&self, now: u64, waker: &Waker) -> Turn {
        let waker = waker.clone();
        self.queue.with(|inner, wakers| {
            if inner.recalls != self.recalls {
                if inner.recalling == 0 && inner.is_first_without_slot(self.order) {
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

    /// Gives the slot up without having used it. Those behind move up. The slots that are left over
    /// at the end are passed to `release`, with their units, to be given back to the store: in the
    /// order in which they were left over, also those of others that leave meanwhile.
    pub(crate) fn abandon(mut self, mut release: impl FnMut(Reservation, u64)) {
        self.has_left = true;
        let is_first = self.queue.with(|inner, wakers| {
            if inner.recalls != self.recalls {
                inner.leave_those_without_slot(self.order, wakers);
                return false;
            }
            let spacing = inner.spacing;
            let freed = match (inner.apart.remove(&self.order), &mut inner.slots) {
                (Some((_, gone)), _) => {
                    wakers.unused.extend(gone.waker);
                    Some((gone.reservation, gone.units))
                }
                (None, Slots::Equal(kind, slots)) => {
                    let reservation = slots.leave(self.order, wakers);
                    reservation.map(|reservation| (reservation, kind.units))
                }
                (None, Slots::Mixed(slots)) => slots.leave(self.order, &spacing, wakers),
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

impl Inner {
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
        if self.recalling == 0
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

    use super::{Slot, SlotQueue, SlotWaiter, Spacing, Turn};
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
            let end = u128::from((begin + units) * SECOND);
            let slot = Slot {
                at: begin * SECOND,
                units,
                reservation: Reservation::ending(end),
            };
            let queue = queues.enter((), None);
            SlotWaiter::join(queue, slot, Spacing::of(&[plan])).0
        };
        let begin = |waiter: &SlotWaiter<'_>| match waiter.poll(0, Waker::noop()) {
            Turn::SleepUntil(at) => at / SECOND,
            Turn::AskAgain => panic!("nothing was recalled"),
        };
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
