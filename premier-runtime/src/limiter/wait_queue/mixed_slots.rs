//! Slots of different lengths: each waiter has its own.
//!
//! When a waiter leaves, those behind it that can use its place move up, in each limit apart. This
//! takes time in proportion to their number.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::task::Waker;

use super::order::{self, Order};
use super::spacing::Spacing;
use super::wakers::Wakers;
use crate::limit::decision::Reservation;

#[derive(Debug, Default)]
pub(super) struct MixedSlots {
    waiters: BTreeMap<Order, Waiter>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) units: u64,
    /// When its slot begins.
    pub(super) at: u64,
    pub(super) reservation: Reservation,
    pub(super) waker: Option<Waker>,
}

impl Waiter {
    /// Lets the slot begin `units` earlier.
    pub(super) fn move_up(&mut self, units: u64, spacing: &Spacing, wakers: &mut Wakers) {
        self.reservation = spacing.earlier(&self.reservation, units);
        self.at = spacing.begin(&self.reservation, self.units);
        wakers.woken.extend(self.waker.take());
    }
}

impl MixedSlots {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// The order of a waiter whose slot begins `at`: ahead of those whose slots begin later.
    pub(super) fn place(&self, at: u64, newest: Order) -> Order {
        let mut from_back = self.waiters.iter().rev().peekable();
        let mut behind = None;
        while let Some((order, _)) = from_back.next_if(|(_, other)| other.at > at) {
            behind = Some(*order);
        }
        let before = from_back.next().map_or(0, |(order, _)| *order);
        order::between(before, behind, newest)
    }

    pub(super) fn join(&mut self, order: Order, waiter: Waiter) {
        self.waiters.insert(order, waiter);
    }

    /// When the slot of this waiter begins.
    pub(super) fn poll(&mut self, order: Order, waker: Waker, wakers: &mut Wakers) -> u64 {
        let Some(waiter) = self.waiters.get_mut(&order) else {
            wakers.unused.push(waker);
            return 0;
        };
        wakers.unused.extend(waiter.waker.replace(waker));
        waiter.at
    }

    /// Removes a waiter that has used its slot.
    pub(super) fn used(&mut self, order: Order, wakers: &mut Wakers) {
        let gone = self.waiters.remove(&order);
        wakers.unused.extend(gone.and_then(|gone| gone.waker));
    }

    /// The waiters in their order.
    pub(super) fn into_waiters(self) -> impl Iterator<Item = (Order, Waiter)> {
        self.waiters.into_iter()
    }

    /// Lets all slots begin `units` earlier.
    pub(super) fn advance(&mut self, units: u64, spacing: &Spacing, wakers: &mut Wakers) {
        for waiter in self.waiters.values_mut() {
            waiter.move_up(units, spacing, wakers);
        }
    }

    /// Removes a waiter that does not use its slot. The slots that follow without a gap begin earlier by
    /// the length of the free one. Behind a gap, which is the slot of a caller of another process or
    /// function, only a slot of equal length moves up. Returns the slots that are free afterwards, and
    /// how many units they have.
    pub(super) fn leave(
        &mut self,
        order: Order,
        spacing: &Spacing,
        wakers: &mut Wakers,
    ) -> Option<(Reservation, u64)> {
        let gone = self.waiters.remove(&order)?;
        wakers.unused.extend(gone.waker);
        let (units, mut free) = (gone.units, gone.reservation);
        let mut moves: [bool; Reservation::LIMITS] = std::array::from_fn(|i| free.end(i) != 0);
        for (_, waiter) in self.waiters.range_mut((Excluded(order), Unbounded)) {
            if !moves.contains(&true) {
                break;
            }
            if waiter.reservation.from_fallback != free.from_fallback {
                continue;
            }
            let before = spacing.begin(&waiter.reservation, waiter.units);
            for (index, moves) in moves.iter_mut().enumerate().filter(|(_, moves)| **moves) {
                let end = waiter.reservation.end(index);
                let length = spacing.ticks(index, waiter.units);
                if end == 0 {
                    continue;
                }
                let follows = end.checked_sub(length) == Some(free.end(index));
                if !follows && waiter.units != units {
                    *moves = false;
                    continue;
                }
                let begin = free.end(index) - spacing.ticks(index, units);
                waiter.reservation.set_end(index, begin + length);
                free.set_end(index, end);
            }
            let after = spacing.begin(&waiter.reservation, waiter.units);
            if after < before {
                waiter.at = waiter.at.saturating_sub(before - after);
                wakers.woken.extend(waiter.waker.take());
            }
        }
        Some((free, units))
    }
}
