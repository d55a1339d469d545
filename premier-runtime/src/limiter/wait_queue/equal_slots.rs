//! Slots of equal length. The order of the waiters is the order of the slots: the first waiter has the first slot.
//!
//! Slots and waiters are kept in two maps. The waiter of rank r owns the slot of rank r, so when a
//! waiter leaves, removing the last slot moves up all waiters behind it without touching them.
//!
//! Each waiter sleeps until some slot begins, and for each slot exactly one waiter sleeps (the
//! *sleeper* of the slot); any waiter that is polled first grants all slots that have begun to the
//! waiters that own them, and wakes those. A slot is therefore granted when it begins, because its
//! sleeper is polled then. When a slot goes (the last one because a waiter left, or the first one
//! because it was granted) and its sleeper is not the waiter that goes with it, then that sleeper
//! takes over the slot for which the waiter slept that goes, which keeps the sleepers of slots one
//! to one; it is woken if that slot is earlier than the one for which it has set its alarm. So every
//! operation changes a constant number of entries and wakes at most one waiter besides those whose
//! slots have begun.

use std::collections::BTreeMap;
use std::task::Waker;

use super::order::{self, Order};
use super::wakers::Wakers;
use crate::limit::decision::Reservation;

/// When a slot begins, and a number for slots that begin together.
type SlotKey = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct EqualSlots {
    slots: BTreeMap<SlotKey, Slot>,
    waiters: BTreeMap<Order, Waiter>,
    /// The waiters whose slot has begun and is not used yet.
    granted: BTreeMap<Order, (SlotKey, Reservation)>,
    /// The last waiter that was granted a slot.
    granted_to: Order,
    last_slot: u64,
}

#[derive(Debug)]
struct Slot {
    reservation: Reservation,
    sleeper: Order,
}

#[derive(Debug)]
struct Waiter {
    /// The slot whose sleeper this is.
    sleeps_for: SlotKey,
    waker: Option<Waker>,
}

/// A waiter with the slot that it owns.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) order: Order,
    pub(super) at: u64,
    pub(super) reservation: Reservation,
    pub(super) waker: Option<Waker>,
}

impl EqualSlots {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.granted.is_empty()
    }

    /// How many waiters have a slot that has not begun.
    pub(super) fn len(&self) -> u64 {
        self.waiters.len() as u64
    }

    /// The order of a waiter whose slot begins `at`: ahead of those whose slots begin later.
    pub(super) fn place(&self, at: u64, newest: Order) -> Order {
        let later = self.slots.keys().rev().take_while(|(begin, _)| *begin > at);
        let mut from_back = self.waiters.keys().rev();
        let behind = later.zip(&mut from_back).last().map(|(_, order)| *order);
        let before = from_back.next().copied().unwrap_or(self.granted_to);
        order::between(before, behind, newest)
    }

    /// Adds a waiter and a slot that begins `at`. The order of the waiters decides which slot is whose.
    pub(super) fn join(&mut self, order: Order, at: u64, reservation: Reservation) {
        self.last_slot += 1;
        let sleeps_for = (at, self.last_slot);
        let slot = Slot {
            reservation,
            sleeper: order,
        };
        self.slots.insert(sleeps_for, slot);
        let waiter = Waiter {
            sleeps_for,
            waker: None,
        };
        self.waiters.insert(order, waiter);
    }

    /// The waiters, also those whose slot has begun.
    pub(super) fn into_waiters(self) -> impl Iterator<Item = (Order, Option<Waker>)> {
        let granted = self.granted.into_keys().map(|order| (order, None));
        let waiters = self.waiters.into_iter();
        granted.chain(waiters.map(|(order, waiter)| (order, waiter.waker)))
    }

    /// Puts a slot before the first one and removes the last one: all waiters move up. `earlier` returns the
    /// slot before another, with the time at which it begins.
    pub(super) fn advance(
        &mut self,
        earlier: impl FnOnce(&Reservation) -> (u64, Reservation),
        wakers: &mut Wakers,
    ) {
        let Some((_, first)) = self.slots.first_key_value() else {
            return;
        };
        let (at, reservation) = earlier(&first.reservation);
        let Some((_, Slot { sleeper, .. })) = self.slots.pop_last() else {
            return;
        };
        self.last_slot += 1;
        let key = (at, self.last_slot);
        let slot = Slot {
            reservation,
            sleeper,
        };
        self.slots.insert(key, slot);
        self.wake_for(sleeper, key, wakers);
    }

    /// Until when this waiter sleeps; 0 once it has been granted its slot. If it sleeps, `waker` is
    /// kept.
    pub(super) fn poll(
        &mut self,
        order: Order,
        now: u64,
        waker: Waker,
        wakers: &mut Wakers,
    ) -> u64 {
        // Taken out, so that it does not wake itself.
        if let Some(waiter) = self.waiters.get_mut(&order) {
            wakers.unused.extend(waiter.waker.take());
        }
        self.grant(now, wakers);
        match self.waiters.get_mut(&order) {
            Some(waiter) => {
                waiter.waker = Some(waker);
                waiter.sleeps_for.0
            }
            None => {
                wakers.unused.push(waker);
                0
            }
        }
    }

    /// Grants all slots that have begun.
    fn grant(&mut self, now: u64, wakers: &mut Wakers) {
        while let Some(first) = self.slots.first_entry()
            && first.key().0 <= now
            && let Some((order, waiter)) = self.waiters.pop_first()
        {
            let (key, slot) = first.remove_entry();
            if slot.sleeper != order {
                // Its alarm is for a slot that has begun, so it is polled without being woken.
                self.sleep_for(slot.sleeper, waiter.sleeps_for);
            }
            self.granted.insert(order, (key, slot.reservation));
            self.granted_to = order;
            wakers.woken.extend(waiter.waker);
        }
    }

    /// Makes a waiter the sleeper of a slot.
    fn sleep_for(&mut self, sleeper: Order, key: SlotKey) -> Option<&mut Waiter> {
        self.slots.get_mut(&key)?.sleeper = sleeper;
        let waiter = self.waiters.get_mut(&sleeper)?;
        waiter.sleeps_for = key;
        Some(waiter)
    }

    /// As [`EqualSlots::sleep_for`], and wakes the waiter, whose alarm is too late.
    fn wake_for(&mut self, sleeper: Order, key: SlotKey, wakers: &mut Wakers) {
        let waiter = self.sleep_for(sleeper, key);
        wakers
            .woken
            .extend(waiter.and_then(|waiter| waiter.waker.take()));
    }

    /// Removes a waiter that has used its slot.
    pub(super) fn used(&mut self, order: Order, wakers: &mut Wakers) {
        if self.granted.remove(&order).is_none() {
            // The waiter gives up its slot early and does not return it.
            self.leave(order, wakers);
        }
    }

    /// Removes a waiter that does not use its slot. Those behind it move up; the last slot is
    /// returned, to be given back.
    pub(super) fn leave(&mut self, order: Order, wakers: &mut Wakers) -> Option<Reservation> {
        let Some(gone) = self.waiters.remove(&order) else {
            return self.leave_granted(order, wakers);
        };
        wakers.unused.extend(gone.waker);
        let (_, last) = self.slots.pop_last()?;
        if last.sleeper != order {
            self.wake_for(last.sleeper, gone.sleeps_for, wakers);
        }
        Some(last.reservation)
    }

    /// A slot that has begun and is not used goes to the next waiter.
    fn leave_granted(&mut self, order: Order, wakers: &mut Wakers) -> Option<Reservation> {
        let (key, reservation) = self.granted.remove(&order)?;
        let Some((_, last)) = self.slots.pop_last() else {
            return Some(reservation);
        };
        let slot = Slot {
            reservation,
            ..last
        };
        self.slots.insert(key, slot);
        self.wake_for(last.sleeper, key, wakers);
        self.grant(key.0, wakers);
        Some(last.reservation)
    }

    /// Each waiter with its own slot, in order. Waiters that slept until another slot begins are
    /// woken.
    pub(super) fn into_owners(self, wakers: &mut Wakers) -> Vec<Owner> {
        let granted = self.granted.into_iter().map(|(order, (key, slot))| Owner {
            order,
            at: key.0,
            reservation: slot,
            waker: None,
        });
        let mut owners: Vec<_> = granted.collect();
        for ((order, mut waiter), (key, slot)) in self.waiters.into_iter().zip(self.slots) {
            if waiter.sleeps_for != key {
                wakers.woken.extend(waiter.waker.take());
            }
            owners.push(Owner {
                order,
                at: key.0,
                reservation: slot.reservation,
                waker: waiter.waker,
            });
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use super::{EqualSlots, Order, Reservation, Wakers};

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// A caller of the queue and, as the model, the slot that it has by itself.
    struct Caller {
        order: Order,
        slot: u64,
        alarm: u64,
        woken: Arc<Flag>,
    }

    const LENGTH: u64 = 10;

    #[derive(Default)]
    struct Simulation {
        slots: EqualSlots,
        /// In order.
        callers: Vec<Caller>,
        now: u64,
        /// The end of the last slot that the store has given out.
        end: u64,
        newest: Order,
    }

    impl Simulation {
        fn reserve(&mut self) -> u64 {
            let begin = self.end.max(self.now + 1);
            self.end = begin + LENGTH;
            begin
        }

        fn join(&mut self, slot: u64) {
            let reservation = Reservation::ending(u128::from(slot + LENGTH));
            let order = self.slots.place(slot, self.newest);
            self.newest = self.newest.max(order);
            self.slots.join(order, slot, reservation);
            let place = self.callers.partition_point(|other| other.slot <= slot);
            let caller = Caller {
                order,
                slot,
                alarm: 0,
                woken: Arc::default(),
            };
            self.callers.insert(place, caller);
        }

        fn leave(&mut self, place: usize) {
            let mut slots: Vec<_> = self.callers.iter().map(|caller| caller.slot).collect();
            let gone = self.callers.remove(place);
            let mut wakers = Wakers::default();
            let released = self.slots.leave(gone.order, &mut wakers).unwrap();
            assert!(wakers.woken.len() <= 1, "{}", wakers.woken.len());
            wakers.wake();
            let last = slots.pop().unwrap();
            assert_eq!(released.end(0), u128::from(last + LENGTH));
            if self.end == last + LENGTH {
                self.end = last;
            }
            for (caller, slot) in self.callers.iter_mut().zip(slots) {
                caller.slot = slot;
            }
        }

        /// Polls callers while an alarm or a waker is due. Afterwards exactly the callers whose slot has begun
        /// have it.
        fn run(&mut self, random: &mut fastrand::Rng) {
            let mut has_slot = Vec::new();
            loop {
                let due: Vec<usize> = (0..self.callers.len())
                    .filter(|place| {
                        let caller = &self.callers[*place];
                        !has_slot.contains(&caller.order)
                            && (caller.alarm <= self.now || caller.woken.0.load(Ordering::SeqCst))
                    })
                    .collect();
                let Some(place) = random.choice(due) else {
                    break;
                };
                let caller = &mut self.callers[place];
                caller.woken.0.store(false, Ordering::SeqCst);
                let waker = Waker::from(Arc::clone(&caller.woken));
                let mut wakers = Wakers::default();
                caller.alarm = self.slots.poll(caller.order, self.now, waker, &mut wakers);
                wakers.wake();
                if caller.alarm <= self.now {
                    has_slot.push(caller.order);
                }
            }
            let now = self.now;
            for caller in &self.callers {
                let has_begun = caller.slot <= now;
                assert_eq!(has_slot.contains(&caller.order), has_begun);
            }
            for order in has_slot {
                self.slots.used(order, &mut Wakers::default());
            }
            self.callers.retain(|caller| caller.slot > now);
        }
    }

    #[test]
    fn every_caller_gets_the_slot_it_would_have_if_each_were_moved_up_by_hand() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut simulation = Simulation::default();
            for _ in 0..200 {
                match random.u32(0..10) {
                    0..4 => {
                        let slot = simulation.reserve();
                        simulation.join(slot);
                    }
                    4 => {
                        // Two callers of which the second joins first.
                        let (first, second) = (simulation.reserve(), simulation.reserve());
                        simulation.join(second);
                        simulation.join(first);
                    }
                    5 => {
                        // A caller that keeps to its slot by itself.
                        simulation.reserve();
                    }
                    6 | 7 if !simulation.callers.is_empty() => {
                        let place = random.usize(0..simulation.callers.len());
                        simulation.leave(place);
                    }
                    8 => simulation.now += random.u64(0..3 * LENGTH),
                    _ => simulation.run(&mut random),
                }
            }
            simulation.now += 400 * LENGTH;
            simulation.run(&mut random);
            assert!(simulation.slots.is_empty());
        }
    }

    #[test]
    fn a_slot_that_has_begun_and_is_not_used_goes_to_the_next_one() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut simulation = Simulation::default();
        for slot in [10, 20, 30] {
            simulation.join(slot);
        }
        simulation.run(&mut random);
        simulation.now = 15;
        // The slot is granted, but the first one has gone before it heard of it.
        let (second, mut wakers) = (simulation.callers[1].order, Wakers::default());
        let poll = |simulation: &mut Simulation, wakers: &mut Wakers| {
            let waker = Waker::noop().clone();
            simulation.slots.poll(second, simulation.now, waker, wakers)
        };
        assert_eq!(poll(&mut simulation, &mut wakers), 20);
        let first = simulation.callers.remove(0);
        let released = simulation.slots.leave(first.order, &mut wakers).unwrap();
        assert_eq!(released.end(0), 40);
        assert_eq!(poll(&mut simulation, &mut wakers), 0);
        wakers.wake();
    }
}
