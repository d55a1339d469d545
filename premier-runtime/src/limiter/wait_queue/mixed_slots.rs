//! Slots of different lengths: each waiter has its own.
//!
//! When a waiter leaves, those behind it that can use its place move up, in each limit apart. This
//! takes time in proportion to their number.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::task::Waker;

use super::order::{self, Order};
use super::wakers::Wakers;
use crate::algorithms::Plan;
use crate::limit::decision::Reservation;

/// The emission interval of each limit of a leaky bucket.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Intervals([(u64, u64); Reservation::LIMITS]);

impl Intervals {
    pub(super) fn of(plans: &[Plan]) -> Self {
        let mut intervals = Self::default();
        for (interval, plan) in intervals.0.iter_mut().zip(plans) {
            *interval = (plan.interval(), plan.den());
        }
        intervals
    }

    /// How long `units` take under the limit with this index, in the ticks of its plan.
    fn ticks(&self, index: usize, units: u64) -> u128 {
        u128::from(units) * u128::from(self.0[index].0)
    }

    /// When a slot begins, in nanoseconds of the store's clock, rounded up: in the limit where it
    /// begins last.
    fn begin(&self, reservation: &Reservation, units: u64) -> u64 {
        let begins = self.0.iter().enumerate().filter_map(|(index, (_, den))| {
            let begin = reservation
                .end(index)
                .checked_sub(self.ticks(index, units))?;
            Some(begin.div_ceil(u128::from((*den).max(1))))
        });
        let begin = begins.max().unwrap_or(0);
        u64::try_from(begin).unwrap_or(u64::MAX)
    }
}

#[derive(Debug, Default)]
pub(super) struct MixedSlots {
    waiters: BTreeMap<Order, Waiter>,
    newest: Order,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) units: u64,
    /// When its slot begins.
    pub(super) at: u64,
    pub(super) reservation: Reservation,
    pub(super) waker: Option<Waker>,
}

impl MixedSlots {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Adds a waiter from another queue at the back.
    pub(super) fn push(&mut self, order: Order, waiter: Waiter) {
        self.newest = self.newest.max(order);
        self.waiters.insert(order, waiter);
    }

    /// Adds a waiter ahead of those whose slots begin later.
    pub(super) fn join(&mut self, waiter: Waiter) -> Order {
        let mut from_back = self.waiters.iter().rev().peekable();
        let mut behind = None;
        while let Some((order, _)) = from_back.next_if(|(_, other)| other.at > waiter.at) {
            behind = Some(*order);
        }
        let before = from_back.next().map_or(0, |(order, _)| *order);
        let order = order::between(before, behind, self.newest);
        self.push(order, waiter);
        order
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

    /// Removes a waiter that does not use its slot. The slots that follow without a gap begin earlier by
    /// the length of the free one. Behind a gap, which is the slot of a caller of another process or
    /// function, only a slot of equal length moves up. Returns the slots that are free afterwards, and
    /// how many units they have.
    pub(super) fn leave(
        &mut self,
        order: Order,
        intervals: &Intervals,
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
            let before = intervals.begin(&waiter.reservation, waiter.units);
            for (index, moves) in moves.iter_mut().enumerate().filter(|(_, moves)| **moves) {
                let end = waiter.reservation.end(index);
                let length = intervals.ticks(index, waiter.units);
                if end == 0 {
                    continue;
                }
                let follows = end.checked_sub(length) == Some(free.end(index));
                if !follows && waiter.units != units {
                    *moves = false;
                    continue;
                }
                let begin = free.end(index) - intervals.ticks(index, units);
                waiter.reservation.set_end(index, begin + length);
                free.set_end(index, end);
            }
            let after = intervals.begin(&waiter.reservation, waiter.units);
            if after < before {
                waiter.at = waiter.at.saturating_sub(before - after);
                wakers.woken.extend(waiter.waker.take());
            }
        }
        Some((free, units))
    }
}
