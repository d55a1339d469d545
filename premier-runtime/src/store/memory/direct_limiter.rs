//! The state of a limit without a key.
//!
//! The state is either packed in one word or behind the lock, never both. While it is packed, calls
//! change the word by compare-and-swap and take no lock. While the word is zero, the state is behind
//! the lock, and only the holder of the lock changes the word from or to zero. A call decides by
//! nothing but the word and the time, so a successful swap means that its decision still holds.

use super::states::States;
use super::window_bounds::{COUNT, WindowBounds};
use crate::algorithms::{Answer, Gcra, Plan, Rule, State, TimeBase, Window};
use crate::clock::SteadyClock;
use crate::sync::{AtomicU64, Mutex, Ordering, lock, reload};

/// Where a decision reads the time.
pub(super) trait Now {
    fn now(&self) -> u64;
}

// A closure would do, if it could be marked to be inlined.
impl Now for &SteadyClock {
    #[inline(always)]
    fn now(&self) -> u64 {
        SteadyClock::now(self)
    }
}

#[cfg(test)]
impl<F: Fn() -> u64> Now for F {
    fn now(&self) -> u64 {
        self()
    }
}

/// The limiter of a name without keys.
#[derive(Debug, Default)]
pub(super) struct DirectLimiter {
    /// The packed TAT of a bucket plus one, or the count of a window with its tag; zero while the
    /// state is behind the lock.
    packed: AtomicU64,
    bounds: WindowBounds,
    states: Mutex<States>,
}

impl DirectLimiter {
    /// Decides about a call by the packed form of the limit and takes its cost if it is admitted;
    /// `None` where that needs the state behind the lock.
    #[inline(always)]
    pub(super) fn try_take<A: Answer>(
        &self,
        base: &TimeBase,
        rule: &Rule<u64>,
        now: impl Now,
        cost: u64,
    ) -> Option<A> {
        match rule {
            Rule::Gcra(gcra) => self.try_take_from_bucket(base, gcra, now.now(), cost),
            Rule::Log(_) => self.try_take_from_log(rule, now, cost),
            Rule::Window(window) => self.try_take_from_window(window, now, cost),
        }
    }

    // In a function of its own: a log allocates and takes the lock, which would cost other limits registers.
    #[inline(never)]
    fn try_take_from_log<A: Answer>(
        &self,
        rule: &Rule<u64>,
        now: impl Now,
        cost: u64,
    ) -> Option<A> {
        lock(&self.states).try_take(rule, || now.now(), cost)
    }

    #[inline(always)]
    fn try_take_from_bucket<A: Answer>(
        &self,
        base: &TimeBase,
        gcra: &Gcra<u64>,
        now: u64,
        cost: u64,
    ) -> Option<A> {
        if !gcra.has(cost) {
            return None;
        }
        let at = base.ticks(now)?;
        let mut seen = self.packed.load(Ordering::Relaxed);
        loop {
            let call = gcra.arrive(seen.checked_sub(1)?, at, cost);
            if !gcra.admits(&call) {
                return (!gcra.is_beyond(&call)).then(|| gcra.denied(call));
            }
            let tat = call.tat();
            match self.swap(seen, tat + 1, Ordering::Relaxed) {
                Ok(_) => {
                    return Some(A::new(true, gcra.delays(&call), move || {
                        let decision = gcra.decision(&call, true, true);
                        decision.taken_in_slot(now, gcra.is_queue().then(|| base.absolute(tat)))
                    }));
                }
                Err(_) => seen = reload(&self.packed, Ordering::Relaxed),
            }
        }
    }

    /// Decides about a call by a window that is open and not empty.
    #[inline(always)]
    fn try_take_from_window<A: Answer>(
        &self,
        window: &Window,
        now: impl Now,
        cost: u64,
    ) -> Option<A> {
        if !window.has(cost) {
            return None;
        }
        let now = now.now();
        let mut seen = self.packed.load(Ordering::Acquire);
        loop {
            let mut state = self.bounds.state(seen, window.slides());
            let is_open = state.cur > 0
                && now
                    .checked_sub(state.start)
                    .is_some_and(|elapsed| elapsed < window.period());
            if !is_open {
                return None;
            }
            if !window.admits(&state, now, cost) {
                let current = self.packed.load(Ordering::Acquire);
                if current == seen {
                    return Some(A::new(false, false, move || {
                        window.decision(&state, now, cost, false)
                    }));
                }
                seen = current;
                continue;
            }
            if state.cur + cost > COUNT {
                return None;
            }
            match self.swap(seen, seen + cost, Ordering::AcqRel) {
                Ok(_) => {
                    state.cur += cost;
                    return Some(A::new(true, false, move || {
                        window.decision(&state, now, cost, true).taken_at(now)
                    }));
                }
                Err(_) => seen = reload(&self.packed, Ordering::Acquire),
            }
        }
    }

    #[inline]
    fn swap(&self, from: u64, to: u64, success: Ordering) -> Result<u64, u64> {
        let failure = match success {
            Ordering::Relaxed => Ordering::Relaxed,
            _ => Ordering::Acquire,
        };
        self.packed
            .compare_exchange_weak(from, to, success, failure)
    }

    /// Runs `work` on the states of these limits, under the lock. The time is read under the lock as
    /// well: an earlier reading would look like a clock that stepped back, and would move the start of
    /// the current window back.
    pub(super) fn with<R>(
        &self,
        plans: &[Plan],
        base: &TimeBase,
        now: impl FnOnce() -> u64,
        work: impl FnOnce(&mut [State], u64) -> R,
    ) -> R {
        let mut states = lock(&self.states);
        let before = self.packed.swap(0, Ordering::AcqRel);
        if before != 0 {
            // A key prefix names one algorithm, so the word is of the kind that the plan is.
            states.as_mut_slice()[0] = match plans.first().map(Plan::rule) {
                Some(Rule::Window(window)) => {
                    State::of_window(self.bounds.state(before, window.slides()))
                }
                Some(Rule::Gcra(_) | Rule::Log(_)) | None => base.unpack(before - 1),
            };
        }
        let result = work(states.sized(plans.len()), now());
        if let (States::One(state), [plan]) = (&*states, plans) {
            let packed = match plan.rule() {
                Rule::Gcra(_) => base.pack(state, plan).map_or(0, |tat| tat + 1),
                Rule::Log(_) => 0,
                Rule::Window(_) => self.bounds.pack(state),
            };
            self.packed.store(packed, Ordering::Release);
        }
        result
    }

    /// Whether the state decides as a new one would, under every limit with a period of at most
    /// `longest`.
    pub(super) fn is_idle(&self, base: &TimeBase, longest: u64, now: u64) -> bool {
        let states = lock(&self.states);
        match self.packed.load(Ordering::Acquire) {
            0 => states.is_idle(longest, now),
            // The word does not say whether the window slides. A sliding window counts for longer.
            word if self.bounds.is_used() => {
                State::of_window(self.bounds.state(word, true)).is_idle(longest, now)
            }
            word => base.is_idle(word - 1, now),
        }
    }

    pub(super) fn clear(&self) {
        let mut states = lock(&self.states);
        self.packed.store(0, Ordering::Release);
        *states = States::default();
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;
    use crate::limit::decision::Decision;
    use crate::limit::quota::Limit;

    const SECOND: Duration = Duration::from_secs(1);

    /// In every sequence of operations, the packed word decides as the pure function does.
    #[test]
    fn packed_state_and_state_decide_alike() {
        let mut random = fastrand::Rng::with_seed(7);
        for limit in [
            Limit::token_bucket(3, 5 * SECOND),
            Limit::token_bucket(7, SECOND).burst(2),
            Limit::token_bucket(1_000_000_000, SECOND),
            Limit::token_bucket(1, 366 * 86_400 * SECOND).burst(1 << 32),
            Limit::leaky_bucket(7, SECOND),
            Limit::leaky_bucket(999_999_937, 61 * SECOND),
            Limit::fixed_window(20, SECOND / 100),
            Limit::fixed_window(1 << 40, 86_400 * SECOND),
            Limit::sliding_window(20, SECOND / 100),
            Limit::sliding_window(1_000_003, 3 * SECOND),
            Limit::sliding_window((1 << 40) - 1, 86_400 * SECOND),
            Limit::sliding_log(20, SECOND / 100),
        ] {
            let plan = Plan::new(limit).unwrap();
            let (mut state, mut now) = (State::default(), 1 << 56);
            let (limiter, base) = (DirectLimiter::default(), TimeBase::new(plan.den(), now));
            let Some(rule) = base.rule(&plan) else {
                assert!(plan.ticks(plan.capacity()) >= 1 << 62, "{limit:?}");
                continue;
            };
            let mut fast = 0;
            for _ in 0..20_000 {
                now += match random.u8(..8) {
                    0 => 0,
                    1 => random.u64(..5_000_000_000),
                    2 => random.u64(..plan.period().min(60_000_000_000) * 2),
                    _ => random.u64(..1_000_000),
                };
                // Sometimes a clock steps back.
                let at = now - u64::from(random.u8(..10) == 0) * random.u64(..1_000);
                let cost = random.u64(1..4).min(plan.capacity());
                let decided = limiter.try_take::<Decision>(&base, &rule, || at, cost);
                fast += u32::from(decided.is_some());
                let decided = decided.unwrap_or_else(|| {
                    limiter.with(
                        &[plan],
                        &base,
                        || at,
                        |states, at| {
                            let decision = states[0].take(&plan, at, cost);
                            match decision.allowed {
                                true => decision.taken_at(at),
                                false => decision,
                            }
                        },
                    )
                });
                let mut expected = state.take(&plan, at, cost);
                if expected.allowed {
                    expected = expected.taken_at(at);
                }
                assert_eq!(decided, expected, "{limit:?} {at}");
                if random.u8(..50) == 0 {
                    let units = random.u64(..3);
                    limiter.with(
                        &[plan],
                        &base,
                        || at,
                        |states, at| {
                            states[0].refund(&plan, at, units);
                        },
                    );
                    state.refund(&plan, at, units);
                }
            }
            assert!(fast > 1_000, "{limit:?}: {fast} on the fast path");
        }
    }

    /// Threads that use the word and threads that use the lock never admit more than the limit.
    #[test]
    fn nothing_is_admitted_twice() {
        for round in 0..300 {
            let limit = match round % 3 {
                0 => Limit::token_bucket(1, 1_000_000 * SECOND).burst(100),
                1 => Limit::fixed_window(100, SECOND),
                _ => Limit::sliding_window(100, SECOND),
            };
            let plan = Plan::new(limit).unwrap();
            let (limiter, base) = (DirectLimiter::default(), TimeBase::new(plan.den(), 1_000));
            let rule = base.rule(&plan).unwrap();
            let admitted = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (limiter, admitted, plan, rule) = (&limiter, &admitted, &plan, &rule);
                    scope.spawn(move || {
                        for call in 0..60 {
                            let now = 1_000 + call;
                            let fast = limiter.try_take::<Decision>(&base, rule, || now, 1);
                            let taken = fast.is_some_and(|decision| decision.allowed)
                                || limiter.with(
                                    std::slice::from_ref(plan),
                                    &base,
                                    || now,
                                    |states, now| {
                                        // Looking moves the state as well.
                                        thread > 0 && states[0].take(plan, now, 1).allowed
                                    },
                                );
                            admitted.fetch_add(u64::from(taken), Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(admitted.into_inner(), 100);
        }
    }
}

/// Every interleaving of the word with the lock. Run by `tests/run` with `--cfg premier_loom`.
#[cfg(all(test, premier_loom))]
mod every_interleaving {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::limit::decision::Decision;
    use crate::limit::quota::Limit;

    const PERIOD: u64 = 1_000;
    /// When the first window opens, with a call.
    const FIRST: u64 = 1;

    /// After one call, two threads with two calls each, by the word if they can, else behind the
    /// lock; before its calls the second moves the clock on to `later`.
    fn explore(limit: Limit, later: u64, check: fn([u64; 2])) {
        let mut model = loom::model::Builder::new();
        // Three preemptions show every mistake there has been, and take seconds instead of hours.
        model.preemption_bound = Some(3);
        model.check(move || {
            let plan = Plan::new(limit).unwrap();
            let (limiter, base) = (
                Arc::new(DirectLimiter::default()),
                TimeBase::new(plan.den(), FIRST),
            );
            let rule = base.rule(&plan).unwrap();
            let clock = Arc::new(AtomicU64::new(FIRST));
            let take = |states: &mut [State], now| states[0].take(&plan, now, 1).allowed;
            assert!(limiter.with(&[plan], &base, || FIRST, take));
            let threads = [FIRST + 1, later].map(|now| {
                let (limiter, clock) = (Arc::clone(&limiter), Arc::clone(&clock));
                loom::thread::spawn(move || {
                    clock.fetch_max(now, Ordering::AcqRel);
                    let now = || clock.load(Ordering::Acquire);
                    let call = || match limiter.try_take::<Decision>(&base, &rule, now, 1) {
                        Some(decision) => decision.allowed,
                        None => limiter.with(&[plan], &base, now, |states, now| {
                            states[0].take(&plan, now, 1).allowed
                        }),
                    };
                    u64::from(call()) + u64::from(call())
                })
            });
            check(threads.map(|thread| thread.join().unwrap()));
        });
    }

    #[test]
    fn a_bucket_gives_what_it_has() {
        let limit = Limit::token_bucket(1, Duration::from_secs(1)).burst(3);
        explore(limit, 3, |taken| assert_eq!(taken[0] + taken[1], 2));
    }

    #[test]
    fn a_window_gives_its_quota() {
        let limit = Limit::fixed_window(3, Duration::from_nanos(PERIOD));
        explore(limit, 3, |taken| assert_eq!(taken[0] + taken[1], 2));
    }

    /// One thread still sees the window that another has already followed by a new one.
    #[test]
    fn windows_that_roll_give_each_its_quota() {
        let limit = Limit::fixed_window(2, Duration::from_nanos(PERIOD));
        explore(limit, FIRST + PERIOD + 1, |taken| {
            // One unit is left of the first window, and the second has two.
            assert!((2..=3).contains(&(taken[0] + taken[1])), "{taken:?}");
        });
    }

    #[test]
    fn a_sliding_window_that_rolls_gives_no_more() {
        let limit = Limit::sliding_window(2, Duration::from_nanos(PERIOD));
        explore(limit, FIRST + PERIOD + 1, |taken| {
            // What the first window gave counts on, but for the part that has passed.
            assert_eq!(taken[0] + taken[1], 2, "{taken:?}");
        });
    }
}
