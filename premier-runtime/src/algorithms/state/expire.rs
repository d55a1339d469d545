//! How long a state has to be kept.

use std::time::Duration;

use super::{Repr, State};
use crate::algorithms::plan::Plan;
use crate::limit::decision::nanos;

impl State {
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

    pub(super) fn forget_if_fresh(&mut self, plan: &Plan, now: u64) {
        if self.is_fresh(plan, now) {
            self.0 = Repr::Fresh;
        }
    }
}
