//! The state of one key under one limit, and what calls do to it.

use std::time::Duration;

use super::answer::{Answer, Effect};
use super::gcra::Gcra;
use super::owing_window::OwingWindow;
use super::plan::Plan;
use super::rule::Rule;
use super::sliding_log::LogState;
use super::tat::{Reserved, Tat};
use super::window::{Window, WindowState};
use crate::limit::decision::{Decision, Reservation, nanos};

/// The state of one key under one limit. [`State::default`] is the state of a key never seen.
///
/// ```
/// use premier::Limit;
/// use premier::algorithms::{Plan, State};
/// use std::time::Duration;
///
/// let plan = Plan::new(Limit::token_bucket(2, Duration::from_secs(1)))?;
/// let mut state = State::default();
/// assert!(state.take(&plan, 0, 2).allowed);
/// let denied = state.take(&plan, 1, 1);
/// assert!(!denied.allowed);
/// assert_eq!(denied.retry_after, Duration::from_nanos(499_999_999));
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State(pub(super) Repr);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Repr {
    #[default]
    Fresh,
    // Boxed: a log has a heap part anyway, and the state of the others stays small.
    Log(Box<LogState>),
    /// A bucket with at most a full debt.
    Tat(Tat),
    /// A bucket with more than a full debt: callers wait for their slots.
    Reserved(Box<Reserved>),
    Window(WindowState),
    /// A window with units above its quota, which were charged.
    Owing(Box<OwingWindow>),
}

impl State {
    /// Decides about a call that costs `cost` units at `now` (nanoseconds) and takes them if the call
    /// is admitted. A denied call and a cost of 0 change nothing.
    ///
    /// A cost above [`Plan::capacity`] can never be admitted: it is denied with the longest
    /// `retry_after` there is. Stores answer it with
    /// [`Error::CostExceedsCapacity`](crate::Error::CostExceedsCapacity) instead.
    pub fn take(&mut self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.decide(plan, now, cost, Effect::Take)
    }

    /// Decides as [`State::take`] does and takes nothing. `remaining` is the number of units before the
    /// call.
    pub fn peek(&self, plan: &Plan, now: u64, cost: u64) -> Decision {
        self.look(plan, now, cost, Effect::Look)
    }

    /// Decides with an effect that changes nothing.
    pub(crate) fn look(&self, plan: &Plan, now: u64, cost: u64, effect: Effect) -> Decision {
        match &self.0 {
            // Peeking at a log does not copy it.
            Repr::Log(state) if cost <= plan.capacity() => match &plan.rule() {
                Rule::Log(log) => log.look(state, now, cost),
                Rule::Gcra(_) | Rule::Window(_) => Self::default().look(plan, now, cost, effect),
            },
            _ => self.clone().decide(plan, now, cost, effect),
        }
    }

    /// Gives `units` back, at most as many as are taken.
    pub fn refund(&mut self, plan: &Plan, now: u64, units: u64) {
        match (&mut self.0, &plan.rule()) {
            (Repr::Log(state), Rule::Log(log)) => log.refund(state, now, units),
            (Repr::Tat(_) | Repr::Reserved(..), Rule::Gcra(gcra)) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, _) = self.instant_under(gcra, now, at);
                // Giving back takes no slot. What is owed without those of another limit is not waited for.
                let full = match &self.0 {
                    Repr::Reserved(reserved) => reserved.full_in_ticks_of(gcra.den()),
                    _ => 0,
                };
                let refunded = gcra.refunded(ticks, at, units);
                self.store_instant(gcra.den(), now, refunded, gcra.full().max(full));
            }
            (Repr::Window(state), Rule::Window(window)) => {
                *state = window.at(*state, now);
                state.cur = state.cur.saturating_sub(units);
            }
            (Repr::Owing(owing), Rule::Window(window)) => {
                let mut owing = owing.at(window, now);
                owing.refund(units);
                self.set_window(owing);
            }
            _ => {}
        }
        self.forget_if_fresh(plan, now);
    }

    /// Takes `units` that were used already, whether or not the limit admits them, as far as the key then owes
    /// at most `max_debt` units:
    ///
    /// - a bucket owes what its theoretical arrival time lies ahead beyond a full debt. The slots of callers
    ///   that wait count;
    /// - a window owes the units in it above the quota. They open the next window as already used, up to the
    ///   quota, and what is left the windows after it;
    /// - a sliding log owes its units above the quota. As all units in a log, they count for one period.
    ///
    /// A bucket is charged up to the bound exactly, the others in whole units.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::{Plan, State};
    /// use std::time::Duration;
    ///
    /// let plan = Plan::new(Limit::fixed_window(10, Duration::from_nanos(1_000)))?;
    /// let mut state = State::default();
    /// state.charge(&plan, 0, 17, 10);
    /// assert_eq!(state.peek(&plan, 999, 1).remaining, 0);
    /// assert_eq!(state.peek(&plan, 1_000, 1).remaining, 3);
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn charge(&mut self, plan: &Plan, now: u64, units: u64, max_debt: u64) {
        match &plan.rule() {
            Rule::Gcra(gcra) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, _) = self.instant_under(gcra, now, at);
                self.set_instant(gcra, now, gcra.charged(ticks, at, units, max_debt));
            }
            Rule::Log(log) => {
                if !matches!(self.0, Repr::Log(_)) {
                    self.0 = Repr::Log(Box::default());
                }
                if let Repr::Log(state) = &mut self.0 {
                    log.charge(state, now, units, max_debt);
                }
            }
            Rule::Window(window) => {
                let mut owing = self.window_under(window).at(window, now);
                owing.charge(window, units, max_debt);
                self.set_window(owing);
            }
        }
        self.forget_if_fresh(plan, now);
    }

    /// Whether a key with this state decides exactly as one never seen, from `now` on.
    #[must_use]
    pub fn is_fresh(&self, plan: &Plan, now: u64) -> bool {
        self.is_idle(plan.period(), now)
    }

    /// Returns how long a store has to keep this state, from `now` on: until it is fresh. Zero means that
    /// the store can remove it.
    ///
    /// A store whose expiry is coarser rounds up.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::{Plan, State};
    /// use std::time::Duration;
    ///
    /// let plan = Plan::new(Limit::token_bucket(2, Duration::from_secs(1)))?;
    /// let mut state = State::default();
    /// assert_eq!(state.expires_in(&plan, 0), Duration::ZERO);
    /// assert!(state.take(&plan, 0, 1).allowed);
    /// assert_eq!(state.expires_in(&plan, 0), Duration::from_millis(500));
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn expires_in(&self, plan: &Plan, now: u64) -> Duration {
        match &self.0 {
            Repr::Fresh => Duration::ZERO,
            Repr::Log(state) => Duration::from_nanos(state.expires_in(plan.period(), now)),
            Repr::Tat(tat) => nanos(tat.ahead_of(now)),
            Repr::Reserved(reserved) => nanos(reserved.tat.ahead_of(now)),
            Repr::Window(state) => Duration::from_nanos(state.expires_in(plan.period(), now)),
            Repr::Owing(owing) => nanos(owing.expires_in(plan.period(), now)),
        }
    }

    /// Whether the state is fresh under every limit with a period of at most this.
    pub(crate) fn is_idle(&self, period: u64, now: u64) -> bool {
        match &self.0 {
            Repr::Fresh => true,
            Repr::Log(state) => state.is_fresh(period, now),
            // Whether an instant is past does not depend on the limit.
            Repr::Tat(tat) => tat.is_past(now),
            Repr::Reserved(reserved) => reserved.tat.is_past(now),
            Repr::Window(state) => state.is_fresh(period, now),
            Repr::Owing(owing) => owing.expires_in(period, now) == 0,
        }
    }

    /// Gives back what a call took under the limit at `index`: its slot, if that is still the last of
    /// the queue, or its units, if the state still counts them. Otherwise nothing is given back, because
    /// it would be taken from another caller.
    pub(crate) fn release(
        &mut self,
        plan: &Plan,
        now: u64,
        slot: &Reservation,
        index: usize,
        units: u64,
    ) {
        let is_counted = match (&mut self.0, slot.end(index)) {
            (Repr::Fresh, _) => false,
            (Repr::Log(state), _) => {
                state.release(slot.since, units);
                false
            }
            (Repr::Tat(_) | Repr::Reserved(..), 0) => now < slot.until(index),
            (Repr::Tat(_) | Repr::Reserved(_), end) => {
                if let Rule::Gcra(gcra) = &plan.rule()
                    && self.tat() == Tat::new(end, gcra.den())
                {
                    let begin = end.saturating_sub(plan.ticks(units));
                    self.set_instant(gcra, now, begin);
                }
                false
            }
            (Repr::Window(state), _) => state.start <= slot.since,
            // Of a window after that of the call, only the debt of it is left.
            (Repr::Owing(owing), _) => match &plan.rule() {
                Rule::Window(window) => owing.at(window, now).window.start <= slot.since,
                Rule::Gcra(_) | Rule::Log(_) => false,
            },
        };
        if is_counted {
            self.refund(plan, now, units);
        } else {
            self.forget_if_fresh(plan, now);
        }
    }

    /// Decides about a call.
    pub(crate) fn decide<A: Answer>(
        &mut self,
        plan: &Plan,
        now: u64,
        cost: u64,
        effect: Effect,
    ) -> A {
        if cost > plan.capacity() {
            return A::new(false, false, || plan.never());
        }
        let takes = |allowed| allowed && cost > 0 && effect.takes();
        match &plan.rule() {
            Rule::Gcra(gcra) => {
                let at = u128::from(now) * u128::from(gcra.den());
                let (ticks, was_beyond) = self.instant_under(gcra, now, at);
                let call = gcra.arrive(ticks, at, cost);
                let allowed = match effect.longest() {
                    _ if cost == 0 => true,
                    None => gcra.admits(&call),
                    Some(longest) => gcra.admits_within(&call, longest),
                };
                let taken = takes(allowed);
                let end = call.tat();
                if taken {
                    self.set_instant(gcra, now, end);
                } else if effect.takes()
                    && (was_beyond
                        || matches!(self.0, Repr::Reserved(_))
                            && !gcra.exceeds_full_debt(ticks, at))
                {
                    // Kept although the call is denied, because every later call would find the
                    // instant in the future again.
                    self.set_instant(gcra, now, ticks);
                }
                let is_reserved = !gcra.admits(&call);
                A::new(allowed, gcra.delays(&call) || is_reserved, || {
                    let mut decision = gcra.decision(&call, allowed, taken);
                    if !allowed && effect.longest().is_some() {
                        decision.retry_after = gcra.slot_after(&call);
                    }
                    if taken && (gcra.is_queue() || is_reserved) {
                        decision.reservation = Reservation::ending(end);
                    }
                    decision
                })
            }
            Rule::Log(log) => match &mut self.0 {
                Repr::Log(state) => log.decide(state, now, cost, effect),
                _ => {
                    let mut state = LogState::default();
                    let answer = log.decide(&mut state, now, cost, effect);
                    if !state.is_empty() {
                        self.0 = Repr::Log(Box::new(state));
                    }
                    answer
                }
            },
            Rule::Window(window) => {
                let before = self.window_under(window);
                let mut state = before.at(window, now);
                let allowed = window.admits(&state.window, now, cost);
                if takes(allowed) {
                    state.window.cur += cost;
                    self.set_window(state);
                } else if before.window.start > now && effect.takes() {
                    self.set_window(state);
                }
                A::new(allowed, false, || {
                    state.decision(window, now, cost, allowed)
                })
            }
        }
    }

    /// Decides as [`State::decide`] does, by the packed form of the limit; `None` unless the state is a
    /// window or a log that is not empty.
    #[inline]
    pub(crate) fn try_take<A: Answer>(
        &mut self,
        rule: &Rule<u64>,
        now: u64,
        cost: u64,
    ) -> Option<A> {
        match (&mut self.0, rule) {
            (Repr::Log(state), Rule::Log(log)) if log.has(cost) => {
                Some(log.decide(state, now, cost, Effect::Take))
            }
            (Repr::Window(before), Rule::Window(window)) if window.has(cost) => {
                let mut state = window.at(*before, now);
                let allowed = window.admits(&state, now, cost);
                if allowed {
                    state.cur += cost;
                    *before = state;
                } else if before.start > now {
                    *before = state;
                }
                Some(A::new(allowed, false, || {
                    window.decision(&state, now, cost, allowed)
                }))
            }
            _ => None,
        }
    }

    /// The TAT of a bucket in ticks at `now`, which is `at` in ticks, and whether it lay further in the future
    /// than calls can have moved it.
    fn instant_under(&self, gcra: &Gcra<u128>, now: u64, at: u128) -> (u128, bool) {
        match &self.0 {
            Repr::Reserved(reserved) if reserved.is_waited_for(now) => {
                (reserved.tat.read_reserved(gcra), false)
            }
            Repr::Tat(_) | Repr::Reserved(_) => self.tat().read(gcra, at),
            Repr::Fresh | Repr::Log(_) | Repr::Window(_) | Repr::Owing(_) => (0, false),
        }
    }

    /// The TAT of a bucket.
    fn tat(&self) -> Tat {
        match &self.0 {
            Repr::Tat(tat) => *tat,
            Repr::Reserved(reserved) => reserved.tat,
            Repr::Fresh | Repr::Log(_) | Repr::Window(_) | Repr::Owing(_) => Tat::default(),
        }
    }

    /// The counters of a window, as they were stored.
    fn window_under(&self, rule: &Window) -> OwingWindow {
        match &self.0 {
            Repr::Window(state) => OwingWindow::of(*state, rule),
            Repr::Owing(owing) => **owing,
            Repr::Fresh | Repr::Log(_) | Repr::Tat(_) | Repr::Reserved(_) => {
                OwingWindow::of(WindowState::default(), rule)
            }
        }
    }

    fn set_window(&mut self, state: OwingWindow) {
        self.0 = match state.debt {
            0 => Repr::Window(state.window),
            _ => Repr::Owing(Box::new(state)),
        };
    }

    fn set_instant(&mut self, gcra: &Gcra<u128>, now: u64, ticks: u128) {
        self.store_instant(gcra.den(), now, ticks, gcra.full());
    }

    /// Callers wait for their slots if more than `full` is owed.
    fn store_instant(&mut self, den: u64, now: u64, ticks: u128, full: u128) {
        let tat = Tat::new(ticks, den);
        let at = u128::from(now) * u128::from(den);
        self.0 = match ticks > at.saturating_add(full) {
            true => Repr::Reserved(Box::new(Reserved {
                tat,
                stored: now,
                full,
            })),
            false => Repr::Tat(tat),
        };
    }

    /// The instant of a bucket in ticks of which a nanosecond has `den`; 0 for a key never seen.
    pub(super) fn instant(&self, den: u64) -> Option<u128> {
        match &self.0 {
            Repr::Fresh => Some(0),
            Repr::Tat(tat) if tat.den == den => Some(tat.ticks()),
            _ => None,
        }
    }

    pub(super) const fn at_instant(ticks: u128, den: u64) -> Self {
        Self(Repr::Tat(Tat::new(ticks, den)))
    }

    /// A bucket that a store has kept: its instant lies `ahead` ticks after `now`.
    #[cfg(feature = "redis")]
    pub(crate) fn bucket(plan: &Plan, now: u64, ahead: u128) -> Self {
        let mut state = Self::default();
        if let Rule::Gcra(gcra) = &plan.rule() {
            let now_in_ticks = u128::from(now) * u128::from(gcra.den());
            state.set_instant(gcra, now, now_in_ticks.saturating_add(ahead));
        }
        state
    }

    /// The counters of a window that has been opened.
    pub(crate) const fn window(&self) -> Option<WindowState> {
        match &self.0 {
            Repr::Window(state) => Some(*state),
            Repr::Fresh | Repr::Log(_) | Repr::Tat(_) | Repr::Reserved(..) | Repr::Owing(_) => None,
        }
    }

    pub(crate) const fn of_window(state: WindowState) -> Self {
        Self(Repr::Window(state))
    }

    /// A window that may owe units.
    #[cfg(feature = "redis")]
    pub(crate) fn of_owing_window(state: OwingWindow) -> Self {
        let mut of = Self::default();
        of.set_window(state);
        of
    }

    fn forget_if_fresh(&mut self, plan: &Plan, now: u64) {
        if self.is_fresh(plan, now) {
            self.0 = Repr::Fresh;
        }
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use super::*;
    use crate::limit::quota::Limit;

    const SECOND: u64 = 1_000_000_000;

    fn reserved(plan: &Plan, now: u64) -> State {
        let mut state = State::default();
        for slot in 0..4 {
            let decision: Decision = state.decide(plan, now, 1, Effect::Reserve(u64::MAX));
            assert_eq!(decision.delay, Duration::from_secs(slot));
        }
        state
    }

    #[test]
    fn slots_that_callers_wait_for_are_owed_until_they_have_come() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let denied = state.take(&plan, now + SECOND, 1);
        assert_eq!(denied.retry_after, Duration::from_secs(3));
        assert!(state.take(&plan, now + 4 * SECOND, 1).allowed);
        assert!(state.is_fresh(&plan, now + 5 * SECOND));
    }

    #[test]
    fn after_a_step_back_of_the_clock_a_bucket_owes_a_refill_at_most() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let denied = state.take(&plan, now - SECOND, 1);
        assert_eq!(denied.retry_after, Duration::from_secs(1));
    }

    #[test]
    fn a_slot_beyond_the_longest_wait_is_not_taken() {
        let plan = Plan::new(Limit::token_bucket(1, Duration::from_secs(1))).unwrap();
        let now = 1_000 * SECOND;
        let mut state = reserved(&plan, now);
        let before = state.clone();
        let late: Decision = state.decide(&plan, now, 1, Effect::Reserve(4 * SECOND - 1));
        assert_eq!(
            (late.allowed, late.retry_after),
            (false, Duration::from_secs(4))
        );
        assert_eq!(state, before);
    }
}
