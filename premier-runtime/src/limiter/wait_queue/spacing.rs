//! How far apart slots are.

use crate::algorithms::Plan;
use crate::limit::decision::Reservation;

/// The distances of slots in each of the limits that decide as one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Spacing([LimitSpacing; Reservation::LIMITS]);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct LimitSpacing {
    /// The emission interval in ticks, of which a nanosecond has `den`.
    interval: u64,
    den: u64,
    /// How many units before its end a slot begins: a full bucket in a token bucket. `None` in a leaky bucket,
    /// where it is the units of the slot.
    burst: Option<u64>,
}

impl Spacing {
    pub(super) fn of(plans: &[Plan]) -> Self {
        let mut spacing = Self::default();
        for (limit, plan) in spacing.0.iter_mut().zip(plans) {
            *limit = LimitSpacing {
                interval: plan.interval(),
                den: plan.den(),
                burst: (!plan.is_queue()).then(|| plan.capacity()),
            };
        }
        spacing
    }

    /// How long `units` take under the limit with this index, in the ticks of its plan.
    pub(super) fn ticks(&self, index: usize, units: u64) -> u128 {
        u128::from(units) * u128::from(self.0[index].interval)
    }

    /// When a slot begins, in nanoseconds of the store's clock, rounded up: in the limit where it
    /// begins last.
    pub(super) fn begin(&self, reservation: &Reservation, units: u64) -> u64 {
        let begins = self.0.iter().enumerate().filter_map(|(index, limit)| {
            let before_end = self.ticks(index, limit.burst.unwrap_or(units));
            let begin = reservation.end(index).checked_sub(before_end)?;
            Some(begin.div_ceil(u128::from(limit.den.max(1))))
        });
        u64::try_from(begins.max().unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// The slot that is `units` earlier in each limit.
    pub(super) fn earlier(&self, reservation: &Reservation, units: u64) -> Reservation {
        let mut earlier = *reservation;
        for index in 0..Reservation::LIMITS {
            let end = reservation.end(index);
            if end != 0 {
                earlier.set_end(index, end.saturating_sub(self.ticks(index, units)).max(1));
            }
        }
        earlier
    }
}
