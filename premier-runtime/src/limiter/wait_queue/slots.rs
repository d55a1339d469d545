//! Slots of one bucket, which can stand for one another as far as they are of one kind.

use std::sync::Arc;
use std::task::Waker;

use super::equal_slots::EqualSlots;
use super::give_back::{GiveBack, Reason};
use super::mixed_slots::{MixedSlots, Waiter};
use super::order::Order;
use super::spacing::Spacing;
use super::wakers::Wakers;
use crate::algorithms::Plan;
use crate::limit::decision::Reservation;
use crate::store::request::Operation;

/// A slot that a store has given to a caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// When the slot begins, in nanoseconds of the store's clock.
    pub(crate) at: u64,
    pub(crate) units: u64,
    pub(crate) reservation: Reservation,
}

impl Slot {
    /// Whether the slot was taken under `plans`.
    pub(crate) fn is_of(&self, plans: &[Plan]) -> bool {
        Spacing::of(plans).begin(&self.reservation, self.units) == self.at
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

/// A slot, and the limits under which it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakenSlot<'a> {
    pub(crate) slot: Slot,
    pub(crate) plans: &'a Arc<[Plan]>,
    /// Whether other limits are in force now.
    pub(crate) is_outdated: bool,
}

impl TakenSlot<'_> {
    /// Gives back the units of a caller that asks again. The store need not check that its slot is the last one,
    /// because no caller has a slot then.
    pub(super) fn give_back(&self) -> GiveBack {
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

/// The slots of waiters under the limits in force.
#[derive(Debug)]
pub(super) enum Slots {
    Equal(Kind, EqualSlots),
    Mixed(MixedSlots),
}

/// What slots have in common that can stand for one another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Kind {
    units: u64,
    /// In which limits there is a slot.
    limits: [bool; Reservation::LIMITS],
    from_fallback: bool,
}

impl Kind {
    fn of(slot: &Slot) -> Self {
        Self {
            units: slot.units,
            limits: std::array::from_fn(|index| slot.reservation.end(index) != 0),
            from_fallback: slot.reservation.from_fallback,
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::Equal(Kind::default(), EqualSlots::default())
    }
}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Equal(_, slots) => slots.is_empty(),
            Self::Mixed(slots) => slots.is_empty(),
        }
    }

    /// Adds a waiter with a slot. `order` returns the order of the waiter, and is given the order that follows from
    /// where its slot begins; `newest` is the largest order so far.
    pub(super) fn join(
        &mut self,
        slot: Slot,
        newest: Order,
        order: impl Fn(&dyn Fn() -> Order) -> Order,
        wakers: &mut Wakers,
    ) -> Order {
        let newcomer = Kind::of(&slot);
        // A store that does not say where its slots end gives reservations that belong to one caller each.
        let can_be_equal = newcomer.limits.contains(&true);
        if self.is_empty() && can_be_equal {
            *self = Self::Equal(newcomer, EqualSlots::default());
        }
        match self {
            Self::Equal(kind, slots) if can_be_equal && *kind == newcomer => {
                let order = order(&|| slots.place(slot.at, newest));
                slots.join(order, slot.at, slot.reservation);
                order
            }
            slots => {
                let mixed = slots.mix(wakers);
                let order = order(&|| mixed.place(slot.at, newest));
                mixed.join(order, Waiter::from(slot));
                order
            }
        }
    }

    /// Turns the slots into slots that need not be equal.
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

    /// Lets all slots begin `units` earlier.
    pub(super) fn advance(&mut self, units: u64, spacing: &Spacing, wakers: &mut Wakers) {
        match self {
            Self::Equal(kind, slots) => {
                let steps = units.checked_div(kind.units).unwrap_or(0);
                for _ in 0..steps.min(slots.len()) {
                    let earlier = |slot: &Reservation| {
                        let slot = spacing.earlier(slot, kind.units);
                        (spacing.begin(&slot, kind.units), slot)
                    };
                    slots.advance(earlier, wakers);
                }
            }
            Self::Mixed(slots) => slots.advance(units, spacing, wakers),
        }
    }

    /// Until when a waiter sleeps.
    pub(super) fn poll(
        &mut self,
        order: Order,
        now: u64,
        waker: Waker,
        wakers: &mut Wakers,
    ) -> u64 {
        match self {
            Self::Equal(_, slots) => slots.poll(order, now, waker, wakers),
            Self::Mixed(slots) => slots.poll(order, waker, wakers),
        }
    }

    /// Removes a waiter that has used its slot.
    pub(super) fn used(&mut self, order: Order, wakers: &mut Wakers) {
        match self {
            Self::Equal(_, slots) => slots.used(order, wakers),
            Self::Mixed(slots) => slots.used(order, wakers),
        }
    }

    /// Removes a waiter that does not use its slot. Waiters behind it move up. Returns the slot that is free
    /// afterwards, and its units.
    pub(super) fn leave(
        &mut self,
        order: Order,
        spacing: &Spacing,
        wakers: &mut Wakers,
    ) -> Option<(Reservation, u64)> {
        match self {
            Self::Equal(kind, slots) => {
                let reservation = slots.leave(order, wakers)?;
                Some((reservation, kind.units))
            }
            Self::Mixed(slots) => slots.leave(order, spacing, wakers),
        }
    }

    /// Passes each waiter to `waiter`: its order and waker, its units, and whether the fallback of the store has
    /// given them.
    pub(super) fn drain(self, mut waiter: impl FnMut(Order, Option<Waker>, u64, bool)) {
        match self {
            Self::Equal(kind, slots) => {
                for (order, waker) in slots.into_waiters() {
                    waiter(order, waker, kind.units, kind.from_fallback);
                }
            }
            Self::Mixed(slots) => {
                for (order, gone) in slots.into_waiters() {
                    let from_fallback = gone.reservation.from_fallback;
                    waiter(order, gone.waker, gone.units, from_fallback);
                }
            }
        }
    }
}
