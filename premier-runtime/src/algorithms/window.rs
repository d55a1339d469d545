//! The counters of fixed and sliding windows.
//!
//! Both count units in a window that spans [start, start + d). A sliding window also weighs the
//! window before by the part of it that still overlaps the last d: with e the time since the start,
//! a call is admitted when floor(prev · (d − e) / d) + cur + c ≤ q. A fixed window has no previous
//! one, so prev is 0.

use crate::limit::decision::{Decision, nanos};

/// The numbers of a limit by windows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    quota: u64,
    /// In nanoseconds.
    period: u64,
    /// Whether the window before counts.
    slides: bool,
}

/// The counters of one key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct WindowState {
    pub(crate) start: u64,
    pub(crate) cur: u64,
    pub(crate) prev: u64,
    /// Whether the window before counts, as in the [`Window`].
    pub(crate) slides: bool,
}

impl Window {
    pub(super) const fn new(quota: u64, period: u64, slides: bool) -> Self {
        Self {
            quota,
            period,
            slides,
        }
    }

    /// Whether a call may cost this much, and costs anything.
    #[inline]
    pub(crate) const fn has(&self, cost: u64) -> bool {
        // A cost of 0 wraps.
        cost.wrapping_sub(1) < self.quota
    }

    pub(super) const fn quota(&self) -> u64 {
        self.quota
    }

    pub(crate) const fn period(&self) -> u64 {
        self.period
    }

    pub(crate) const fn slides(&self) -> bool {
        self.slides
    }

    /// The state at `now`: the window that holds `now`, opened by this call if there is none.
    pub(super) fn at(&self, state: WindowState, now: u64) -> WindowState {
        let mut state = WindowState {
            start: state.start.min(now),
            slides: self.slides,
            ..state
        };
        let elapsed = now - state.start;
        let rolls = self.slides && elapsed < 2 * self.period;
        if elapsed >= self.period {
            state.prev = if rolls { state.cur } else { 0 };
            state.cur = 0;
            state.start += self.period;
        }
        if state.cur == 0 && state.prev == 0 {
            state.start = now;
        }
        state
    }

    /// Units that count at `now`, which lies in the window of the state.
    #[inline]
    pub(crate) fn used(&self, state: &WindowState, now: u64) -> u64 {
        let weight = match state.prev {
            0 => 0,
            prev => self.weight(prev, now - state.start),
        };
        weight + state.cur
    }

    #[inline]
    pub(crate) fn admits(&self, state: &WindowState, now: u64, cost: u64) -> bool {
        cost <= self.quota.saturating_sub(self.used(state, now))
    }

    /// The decision about a call after which this is the state.
    pub(crate) fn decision(
        &self,
        state: &WindowState,
        now: u64,
        cost: u64,
        allowed: bool,
    ) -> Decision {
        let elapsed = now - state.start;
        let mut decision = Decision::new(self.quota);
        decision.allowed = allowed;
        decision.remaining = self.quota.saturating_sub(self.used(state, now));
        let used_up = WindowState {
            cur: state.cur + decision.remaining,
            ..*state
        };
        decision.more_after = time(self.admits_at(&used_up, 1) - elapsed);
        if !allowed {
            decision.retry_after = time(self.admits_at(state, cost) - elapsed);
        }
        decision.reset_after = time(state.lifetime(self.period).saturating_sub(elapsed));
        decision
    }

    fn weight(&self, prev: u64, elapsed: u64) -> u64 {
        let overlap = self.period - elapsed;
        match prev.checked_mul(overlap) {
            Some(product) => product / self.period,
            // At most `prev`, so it fits.
            None => (u128::from(prev) * u128::from(overlap) / u128::from(self.period)) as u64,
        }
    }

    /// The time since the start of the window at which a denied `cost` is admitted.
    fn admits_at(&self, state: &WindowState, cost: u64) -> u64 {
        if !self.slides {
            return self.period;
        }
        let room = self.quota - cost;
        match room.checked_sub(state.cur) {
            Some(room) => shrinks_to(self.period, state.prev, room),
            // Only in the next window, where the current count is the previous one.
            None => self.period + shrinks_to(self.period, state.cur, room),
        }
    }
}

impl WindowState {
    /// Whether a limit with this period ignores the counters at `now`.
    pub(super) fn is_fresh(&self, period: u64, now: u64) -> bool {
        self.expires_in(period, now) == 0
    }

    /// How many nanoseconds the counters still count under a limit with this period.
    pub(super) fn expires_in(&self, period: u64, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.start);
        self.lifetime(period).saturating_sub(elapsed)
    }

    /// How long after the start of the window the counters count.
    fn lifetime(&self, period: u64) -> u64 {
        match (self.cur, self.prev) {
            (0, 0) => 0,
            (0, _) => period,
            (_, _) if self.slides => 2 * period,
            (_, _) => period,
        }
    }
}

/// The first e at which floor(count · (d − e) / d) ≤ room: count · (d − e) < (room + 1) · d.
pub(super) fn shrinks_to(period: u64, count: u64, room: u64) -> u64 {
    if count <= room {
        return 0;
    }
    // Below `period`, because room + 1 ≤ count.
    let overlap = match (room + 1).checked_mul(period) {
        Some(product) => (product - 1) / count,
        None => (((u128::from(room) + 1) * u128::from(period) - 1) / u128::from(count)) as u64,
    };
    period - overlap
}

fn time(nanoseconds: u64) -> std::time::Duration {
    nanos(u128::from(nanoseconds))
}
