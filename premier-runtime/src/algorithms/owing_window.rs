//! Windows that owe units.
//!
//! A charge counts in the open window whether or not there is room. The units above the quota are debt. The next
//! window begins with the debt as used units, up to the quota, and the windows after it with the rest. With a debt
//! of D when a window ends, the windows that follow begin with D, D − q, D − 2q … units, each where the one before
//! has ended, until nothing is owed.

use super::window::{Window, WindowState, shrinks_to};
use crate::limit::decision::{Decision, nanos};

/// The counters of a key that owes units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OwingWindow {
    /// The units in it include the debt.
    pub(crate) window: WindowState,
    pub(crate) debt: u64,
    /// How many units a window pays off: the quota of the limit that charged last. Kept here, so that the
    /// state alone says how long it counts.
    pub(crate) quota: u64,
}

impl OwingWindow {
    /// Counters that owe nothing.
    pub(super) const fn of(window: WindowState, rule: &Window) -> Self {
        Self {
            window,
            debt: 0,
            quota: rule.quota(),
        }
    }

    /// The state at `now`, as [`Window::at`]. Its debt may be paid.
    pub(super) fn at(&self, rule: &Window, now: u64) -> Self {
        let mut state = Self {
            window: WindowState {
                start: self.window.start.min(now),
                slides: rule.slides(),
                ..self.window
            },
            ..*self
        };
        if self.debt == 0 {
            state.window = rule.at(self.window, now);
            return state;
        }
        let passed = (now - state.window.start) / rule.period();
        if passed > 0 {
            state.debt = self.units_in(passed + 1);
            state.window.cur = self.units_in(passed);
            state.window.prev = match rule.slides() {
                true => self.units_before(passed),
                false => 0,
            };
            state.window.start += passed * rule.period();
        }
        if state.window.cur == 0 && state.window.prev == 0 {
            state.window.start = now;
        }
        state
    }

    /// Charges `units`, as far as the window then owes at most `max_debt`.
    pub(super) fn charge(&mut self, rule: &Window, units: u64, max_debt: u64) {
        let cur = self.window.cur;
        let room = rule.quota().saturating_sub(cur);
        let most = most_units(rule.quota(), max_debt);
        let charged = units.min(most.saturating_sub(cur));
        self.window.cur += charged;
        self.debt += charged.saturating_sub(room);
        self.quota = rule.quota();
    }

    /// Refunds units, beginning with the debt.
    pub(super) fn refund(&mut self, units: u64) {
        self.window.cur = self.window.cur.saturating_sub(units);
        self.debt = self.debt.saturating_sub(units);
    }

    /// As [`Window::decision`].
    pub(super) fn decision(&self, rule: &Window, now: u64, cost: u64, allowed: bool) -> Decision {
        if self.debt == 0 {
            return rule.decision(&self.window, now, cost, allowed);
        }
        let elapsed = u128::from(now - self.window.start);
        let mut decision = Decision::new(rule.quota());
        decision.allowed = allowed;
        decision.remaining = rule.quota().saturating_sub(rule.used(&self.window, now));
        let mut used_up = *self;
        used_up.window.cur += decision.remaining;
        decision.more_after = nanos(used_up.admits_at(rule, 1) - elapsed);
        if !allowed {
            decision.retry_after = nanos(self.admits_at(rule, cost) - elapsed);
        }
        decision.reset_after = nanos(self.lifetime(rule.period()).saturating_sub(elapsed));
        decision
    }

    /// How many nanoseconds the counters still count under a limit with this period.
    pub(super) fn expires_in(&self, period: u64, now: u64) -> u128 {
        let elapsed = now.saturating_sub(self.window.start);
        self.lifetime(period).saturating_sub(elapsed.into())
    }

    /// How long after the start of the window the counters count.
    fn lifetime(&self, period: u64) -> u128 {
        let paid_in = u128::from(self.debt.div_ceil(self.quota));
        let windows = paid_in + if self.window.slides { 2 } else { 1 };
        windows * u128::from(period)
    }

    /// The time since the start of the window at which a denied `cost` is admitted.
    fn admits_at(&self, rule: &Window, cost: u64) -> u128 {
        let room = rule.quota() - cost;
        let (index, cur, prev) = if self.window.cur <= room {
            (0, self.window.cur, self.window.prev)
        } else {
            let index = 1 + self.debt.saturating_sub(room).div_ceil(self.quota);
            (index, self.units_in(index), self.units_before(index))
        };
        let period = rule.period();
        match rule.slides() {
            true => {
                let start = u128::from(index) * u128::from(period);
                start + u128::from(shrinks_to(period, prev, room - cur))
            }
            false => u128::from(index.max(1)) * u128::from(period),
        }
    }

    /// How many units the window at `index` begins with, where the one after this is at 1.
    fn units_in(&self, index: u64) -> u64 {
        self.debt
            .saturating_sub(self.quota.saturating_mul(index - 1))
    }

    /// How many units the window before the one at `index` has counted, without what it owed.
    fn units_before(&self, index: u64) -> u64 {
        match index {
            1 => self.window.cur - self.debt,
            _ => self.units_in(index - 1).min(self.quota),
        }
    }
}

/// The most units that a limit with this quota counts at a time.
pub(crate) const fn most_units(quota: u64, max_debt: u64) -> u64 {
    /// Sums of such counts do not overflow.
    const LARGEST: u64 = 1 << 62;
    match quota.saturating_add(max_debt) {
        most if most > LARGEST => LARGEST,
        most => most,
    }
}
