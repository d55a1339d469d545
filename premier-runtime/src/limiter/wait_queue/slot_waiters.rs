//! The waiters of one bucket, with slots or with recalled slots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use super::give_back::{GiveBack, GiveBacks, Reason};
use super::mixed_slots::Waiter;
use super::order::{self, Order};
use super::slots::{Slot, Slots, TakenSlot};
use super::spacing::Spacing;
use super::wakers::Wakers;
use crate::algorithms::Plan;
use crate::store::request::Operation;

#[derive(Debug, Default)]
pub(super) struct SlotWaiters {
    slots: Slots,
    /// The limits under which the slots were taken, if there are any, and their distances.
    plans: Arc<[Plan]>,
    spacing: Spacing,
    /// Waiters whose slots are of other limits than [`SlotWaiters::plans`], because the limits have just changed
    /// or because functions share a name but not their limits. They do not move up when others leave.
    apart: BTreeMap<Order, (Arc<[Plan]>, Waiter)>,
    /// The largest order of a waiter so far.
    newest: Order,
    pub(super) give_backs: GiveBacks,
    /// How often all slots were recalled.
    recalls: u64,
    /// Waiters without a slot since a recall. The first asks again, then the next, so that they keep their
    /// order.
    without_slot: BTreeMap<Order, Option<Waker>>,
}

/// The place of a waiter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) order: Order,
    /// How often slots were recalled before the waiter got its slot.
    recalls: u64,
}

/// What a caller that has a slot does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// Sleeps until then; the slot has begun once that has passed.
    SleepUntil(u64),
    /// Asks the store again, because its slot was recalled.
    AskAgain,
}

impl SlotWaiters {
    /// Adds a waiter with a slot, which keeps the order that it had before.
    pub(super) fn join(
        &mut self,
        taken: TakenSlot<'_>,
        had: Option<Order>,
        wakers: &mut Wakers,
    ) -> Place {
        let order = self.insert(taken.plans, taken.slot, had, wakers);
        self.newest = self.newest.max(order);
        if had.is_some() {
            self.leave_without_slot(order, wakers);
        }
        let recalls = self.recalls;
        Place { order, recalls }
    }

    fn insert(
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
                let order = had.unwrap_or_else(|| self.last());
                let waiter = (Arc::clone(plans), Waiter::from(slot));
                self.apart.insert(order, waiter);
                return order;
            }
        }
        let last = self.last();
        let is_complete = self.without_slot.is_empty();
        let order = |by_slot: &dyn Fn() -> Order| match had {
            Some(order) => order,
            None if is_complete => by_slot(),
            // Behind the waiters that will ask again.
            None => last,
        };
        self.slots.join(slot, self.newest, order, wakers)
    }

    /// Adds a waiter without a slot, and recalls the slots of all waiters: the store may have counted them when it
    /// gave `taken`, which is given back, too.
    pub(super) fn join_without_slot(&mut self, taken: TakenSlot<'_>, had: Option<Order>) -> Place {
        let order = had.unwrap_or_else(|| self.last());
        self.newest = self.newest.max(order);
        self.without_slot.entry(order).or_default();
        let recalls = self.recalls;
        self.recall(Reason::Recalled);
        self.give_backs.add(taken.give_back());
        Place { order, recalls }
    }

    /// The order behind all waiters.
    fn last(&self) -> Order {
        order::between(0, None, self.newest)
    }

    /// What a waiter does now.
    pub(super) fn poll(
        &mut self,
        place: Place,
        now: u64,
        waker: Waker,
        wakers: &mut Wakers,
    ) -> Turn {
        if self.was_recalled(place) {
            if !self.give_backs.are_held() && self.is_first_without_slot(place.order) {
                wakers.unused.push(waker);
                return Turn::AskAgain;
            }
            let old = self.without_slot.insert(place.order, Some(waker));
            wakers.unused.extend(old.flatten());
            return Turn::SleepUntil(u64::MAX);
        }
        if let Some((_, waiter)) = self.apart.get_mut(&place.order) {
            wakers.unused.extend(waiter.waker.replace(waker));
            return Turn::SleepUntil(waiter.at);
        }
        Turn::SleepUntil(self.slots.poll(place.order, now, waker, wakers))
    }

    /// Removes a waiter that has used its slot.
    pub(super) fn used(&mut self, place: Place, wakers: &mut Wakers) {
        if self.was_recalled(place) {
            self.leave_without_slot(place.order, wakers);
        } else if let Some((_, gone)) = self.apart.remove(&place.order) {
            wakers.unused.extend(gone.waker);
        } else {
            self.slots.used(place.order, wakers);
        }
    }

    /// Removes a waiter that does not use its slot. The waiters behind it move up, and the slot that is free
    /// afterwards is to be given back.
    pub(super) fn leave(&mut self, place: Place, wakers: &mut Wakers) {
        if self.was_recalled(place) {
            self.leave_without_slot(place.order, wakers);
            return;
        }
        let (plans, freed) = match self.apart.remove(&place.order) {
            Some((plans, gone)) => {
                wakers.unused.extend(gone.waker);
                (plans, Some((gone.reservation, gone.units)))
            }
            None => {
                let freed = self.slots.leave(place.order, &self.spacing, wakers);
                (Arc::clone(&self.plans), freed)
            }
        };
        if let Some((reservation, units)) = freed {
            self.give_backs.add(GiveBack {
                plans,
                operation: Operation::Release(reservation, units),
                from_fallback: reservation.from_fallback,
                reason: Reason::Abandoned,
            });
        }
    }

    /// Lets all waiters move up, because `units` were refunded.
    pub(super) fn advance(&mut self, units: u64, wakers: &mut Wakers) {
        self.slots.advance(units, &self.spacing, wakers);
        for (plans, waiter) in self.apart.values_mut() {
            waiter.move_up(units, &Spacing::of(plans), wakers);
        }
    }

    /// Takes all slots from their waiters, which have to ask again. The units are to be given back.
    pub(super) fn recall(&mut self, reason: Reason) {
        for recalled in self.forget(reason) {
            self.give_backs.add(recalled);
        }
    }

    /// Takes all slots from their waiters, which have to ask again. Returns what they have taken.
    pub(super) fn forget(&mut self, reason: Reason) -> Vec<GiveBack> {
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
        // Taken from the store, and from its fallback.
        let mut taken = [0_u64; 2];
        std::mem::take(&mut self.slots).drain(|order, waker, units, from_fallback| {
            let taken = &mut taken[usize::from(from_fallback)];
            *taken = taken.saturating_add(units);
            self.without_slot.insert(order, waker);
        });
        add(&self.plans, taken[0], false);
        add(&self.plans, taken[1], true);
        recalled
    }

    fn was_recalled(&self, place: Place) -> bool {
        self.recalls != place.recalls
    }

    fn is_first_without_slot(&self, order: Order) -> bool {
        let first = self.without_slot.first_key_value();
        first.is_none_or(|(first, _)| *first == order)
    }

    fn leave_without_slot(&mut self, order: Order, wakers: &mut Wakers) {
        let gone = self.without_slot.remove(&order);
        wakers.unused.extend(gone.flatten());
        self.wake_first_without_slot(wakers);
    }

    pub(super) fn wake_first_without_slot(&mut self, wakers: &mut Wakers) {
        if !self.give_backs.are_held()
            && let Some(mut first) = self.without_slot.first_entry()
        {
            wakers.woken.extend(first.get_mut().take());
        }
    }
}
