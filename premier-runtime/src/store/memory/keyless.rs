//! The state of a limit without a key.
//!
//! Mostly it fits a word: then calls change that word by compare-and-swap and never meet a lock.
//! The state is at one place at a time. While the word is zero it is behind the lock; otherwise it
//! is the word, which only the holder of the lock sets from or to zero. A swap that succeeds
//! therefore changes the one true state, whatever came between, and what a call decides by, the
//! word and the time it read before, is all there is to decide by: there is no second place that
//! could disagree.

use std::sync::OnceLock;

use super::deep::Depth;
use super::states::States;
use super::sync::{AtomicU64, Mutex, Ordering, lock, seen_later};
use super::window::{Frame, Window};
use super::word::{Gcra, Scale, Steps, Verdict};
use crate::algorithms::{Plan, State};

#[derive(Debug, Default)]
pub(super) struct Keyless {
    /// Of a bucket its word plus one, of a window its count and tag; zero while the state is
    /// behind the lock.
    word: AtomicU64,
    depth: Depth,
    /// The first limit that decides by this state.
    plan: OnceLock<Plan>,
    frame: Frame,
    states: Mutex<States>,
}

/// What comes within so many nanoseconds has come when the word has been swapped, which takes longer.
const A_SWAP: u64 = 1;

/// A call whose slot comes within so many nanoseconds waits for it on the spot: anything else takes
/// longer than that, and two calls may well read the same time.
pub(crate) const ON_THE_SPOT: u64 = 1_000;

impl Keyless {
    #[inline(always)]
    pub(super) fn admit_gcra(&self, gcra: &Gcra, now: u64, cost: u64) -> Verdict {
        match self.step(|instant| gcra.step(instant, now, cost)) {
            Ok(_) => Verdict::Admitted,
            Err(verdict) => verdict,
        }
    }

    /// Decides by the precise clock, and where that may serve others leaves them what it has shown.
    #[inline(always)]
    pub(super) fn admit_precisely(
        &self,
        gcra: &Gcra,
        deep: &Steps,
        cost: u64,
        now: impl Fn() -> u64,
        last_tick: impl Fn() -> u64,
    ) -> Verdict {
        let time = now();
        let step = self.step(|instant| gcra.step(instant, time, cost));
        if deep.is_any() {
            match step {
                Ok((from, to)) => self.depth.note(gcra, from, to, time, last_tick, now),
                Err(_) => self.depth.look(false),
            }
        }
        step.map_or_else(|verdict| verdict, |_| Verdict::Admitted)
    }

    /// Takes the next slot of a queue if it is as good as there.
    #[inline(always)]
    pub(super) fn admit_on_the_spot(
        &self,
        gcra: &Gcra,
        cost: u64,
        now: impl Fn() -> u64,
    ) -> Verdict {
        let time = now();
        match self.step(|instant| gcra.step_into(instant, time, cost, ON_THE_SPOT)) {
            Ok((before, _)) => {
                let mut later = time + A_SWAP;
                // A counter that falls back meanwhile shows nothing to wait for.
                while later >= time && !gcra.has_come(before - 1, later) {
                    later = now();
                }
                Verdict::Admitted
            }
            Err(verdict) => verdict,
        }
    }

    /// The word before a call was admitted, and after.
    #[inline(always)]
    fn step(&self, next: impl Fn(u64) -> Result<u64, Verdict>) -> Result<(u64, u64), Verdict> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let Some(instant) = seen.checked_sub(1) else {
                return Err(Verdict::Unknown);
            };
            let to = next(instant)? + 1;
            match self.swap(seen, to) {
                Ok(_) => return Ok((seen, to)),
                Err(_) => seen = seen_later(&self.word, Ordering::Relaxed),
            }
        }
    }

    #[inline(always)]
    fn swap(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.word
            .compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn admit_window(&self, window: &Window, now: u64, cost: u64) -> Verdict {
        window.admit(&self.word, &self.frame, now, cost)
    }

    #[inline(always)]
    pub(super) fn admit_deep(
        &self,
        steps: &Steps,
        cost: u64,
        last_tick: impl FnOnce() -> u64,
    ) -> bool {
        // Before anything else, so that little has to be kept meanwhile.
        if !steps.has(cost) || !self.depth.is_known(last_tick) {
            return false;
        }
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // A word is below 2^63, and what a call costs below 2^62.
            let to = seen + steps.of(cost);
            if !self.depth.admits(seen, to) {
                return false;
            }
            match self.swap(seen, to) {
                Ok(_) => return true,
                Err(_) => seen = seen_later(&self.word, Ordering::Relaxed),
            }
        }
    }

    /// A limit is about to decide by this state: whether it is the only one so far. What is left for
    /// others at deep debts holds for one.
    pub(super) fn note_limit(&self, plan: &Plan) -> bool {
        if self.plan.get_or_init(|| *plan) != plan {
            self.depth.close();
        }
        !self.depth.is_closed()
    }

    /// See [`State::admit`]: behind the lock.
    pub(super) fn admit(&self, plan: &Plan, now: impl FnOnce() -> u64, cost: u64) -> bool {
        let mut states = lock(&self.states);
        // Otherwise the state is the word.
        self.word.load(Ordering::Relaxed) == 0 && states.admit(plan, now(), cost)
    }

    /// Does whatever there is to do with the states of these limits. The time is read under the
    /// lock: an earlier reading would look like a clock that stepped back, and pull the window that
    /// has begun since back with it.
    pub(super) fn with<R>(
        &self,
        plans: &[Plan],
        scale: Scale,
        now: impl FnOnce() -> u64,
        work: impl FnOnce(&mut [State], u64) -> R,
    ) -> R {
        let mut states = lock(&self.states);
        let before = self.word.swap(0, Ordering::AcqRel);
        if before != 0 {
            // What a key prefix stands for is of one algorithm, whoever asks.
            states.as_mut_slice()[0] = match plans.first() {
                Some(plan) if Frame::serves(plan) => self.frame.state_of(before, plan),
                _ => scale.state_of(before - 1),
            };
        }
        let result = work(states.sized(plans.len()), now());
        if let (States::One(state), [plan]) = (&*states, plans) {
            let word = match Frame::serves(plan) {
                true => self.frame.word_of(state),
                false => scale.word_of(state, plan).map_or(0, |word| word + 1),
            };
            if word < before {
                self.depth.lower();
            }
            self.word.store(word, Ordering::Release);
        }
        result
    }

    pub(super) fn clear(&self) {
        let mut states = lock(&self.states);
        self.word.store(0, Ordering::Release);
        self.depth.lower();
        *states = States::default();
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use std::time::Duration;

    use std::sync::Arc;

    use super::super::bucket::Bucket;
    use super::*;
    use crate::clock::SteadyClock;
    use crate::limit::quota::Limit;

    const SECOND: Duration = Duration::from_secs(1);

    fn keyless(plan: &Plan, now: u64) -> (Arc<Keyless>, Scale, Option<Bucket>) {
        let (keyless, scale) = (Arc::new(Keyless::default()), Scale::new(plan.den(), now));
        let bucket = Bucket::new(&keyless, plan, scale, &SteadyClock::System);
        (keyless, scale, bucket)
    }

    /// What the word decides is what the pure function decides, whatever comes between.
    #[test]
    fn word_and_state_decide_alike() {
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
        ] {
            let plan = Plan::new(limit).unwrap();
            let plans = [plan];
            let (mut state, mut now) = (State::default(), 1 << 56);
            let (keyless, scale, bucket) = keyless(&plan, now);
            let Some(bucket) = bucket else {
                assert!(
                    plan.full() >= 1 << 62 || plan.capacity() >= 1 << 40,
                    "{limit:?}"
                );
                continue;
            };
            let mut by_word = 0;
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
                let mut other = state.clone();
                let decision = other.take(&plan, at, cost);
                match bucket.admit_at(at, cost) {
                    Verdict::Admitted => {
                        assert!(
                            decision.allowed && decision.delay.is_zero(),
                            "{limit:?} {at}"
                        );
                        state = other;
                        by_word += 1;
                    }
                    Verdict::Denied(nanos) => {
                        assert!(!decision.allowed, "{limit:?} {at}");
                        assert_eq!(decision.retry_after, Duration::from_nanos(nanos));
                        assert_eq!(other, state, "{limit:?} {at}");
                    }
                    Verdict::Unknown => {
                        let slow = keyless.with(
                            &plans,
                            scale,
                            || at,
                            |states, at| states[0].take(&plan, at, cost),
                        );
                        assert_eq!(slow, state.take(&plan, at, cost), "{limit:?} {at}");
                    }
                }
                if random.u8(..50) == 0 {
                    let units = random.u64(..3);
                    keyless.with(
                        &plans,
                        scale,
                        || at,
                        |states, at| states[0].refund(&plan, at, units),
                    );
                    state.refund(&plan, at, units);
                }
            }
            assert!(by_word > 1_000, "{limit:?}: {by_word} by the word");
        }
    }

    /// A counter may be behind on another processor.
    #[test]
    fn nobody_waits_on_the_spot_for_a_clock_that_stepped_back() {
        let plan = Plan::new(Limit::leaky_bucket(2_000_000, SECOND)).unwrap();
        let (keyless, scale, bucket) = keyless(&plan, 1 << 56);
        assert!(bucket.is_some());
        let gcra = Gcra::new(&plan, scale).unwrap();
        let start = (1 << 56) + 5_000_000_000;
        keyless.with(
            &[plan],
            scale,
            || start,
            |states, now| {
                assert!(states[0].take(&plan, now, 1).allowed);
            },
        );
        let reads = std::cell::Cell::new(0);
        let now = || {
            reads.set(reads.get() + 1);
            match reads.get() {
                1 => start,
                2..10 => start + reads.get() * 10,
                nth => start - 1_000_000_000 + nth * 20,
            }
        };
        let verdict = keyless.admit_on_the_spot(&gcra, 1, now);
        assert_eq!((verdict, reads.get()), (Verdict::Admitted, 10));
    }

    /// Threads that use the word and threads that use the lock never admit more than there is.
    #[test]
    fn nothing_is_admitted_twice() {
        for round in 0..300 {
            let limit = match round % 3 {
                0 => Limit::token_bucket(1, 1_000_000 * SECOND).burst(100),
                1 => Limit::fixed_window(100, SECOND),
                _ => Limit::sliding_window(100, SECOND),
            };
            let plan = Plan::new(limit).unwrap();
            let (keyless, scale, bucket) = keyless(&plan, 1_000);
            let bucket = bucket.unwrap();
            let admitted = std::sync::atomic::AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (keyless, bucket) = (&keyless, &bucket);
                    let (admitted, plan) = (&admitted, &plan);
                    scope.spawn(move || {
                        for call in 0..60 {
                            let now = 1_000 + call;
                            let taken = bucket.admit_at(now, 1) == Verdict::Admitted
                                || keyless.with(
                                    std::slice::from_ref(plan),
                                    scale,
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
    use std::time::Duration;

    use std::sync::Arc;

    use super::super::bucket::Bucket;
    use super::*;
    use crate::clock::SteadyClock;
    use crate::limit::quota::Limit;

    const PERIOD: u64 = 1_000;
    /// When the first window opens, with a call.
    const FIRST: u64 = 1;

    /// After a call that costs `first`, two threads with two calls each, by the word if they can, else
    /// behind the lock; before its calls the second moves the clock on to `later`.
    fn explore(limit: Limit, first: u64, later: u64, check: fn([u64; 2])) {
        let mut model = loom::model::Builder::new();
        // Three switches away from a thread that could have gone on show every mistake there has
        // been, and take seconds instead of hours. Where there is more to read, two do.
        model.preemption_bound = Some(if first > 1 { 2 } else { 3 });
        model.check(move || {
            let plan = Plan::new(limit).unwrap();
            let (keyless, scale) = (Arc::new(Keyless::default()), Scale::new(plan.den(), FIRST));
            let bucket =
                Arc::new(Bucket::new(&keyless, &plan, scale, &SteadyClock::System).unwrap());
            let clock = Arc::new(AtomicU64::new(FIRST));
            let take = |states: &mut [State], now| states[0].take(&plan, now, first).allowed;
            assert!(keyless.with(&[plan], scale, || FIRST, take));
            let threads = [FIRST + 1, later].map(|now| {
                let (keyless, bucket) = (Arc::clone(&keyless), Arc::clone(&bucket));
                let clock = Arc::clone(&clock);
                loom::thread::spawn(move || {
                    clock.fetch_max(now, Ordering::AcqRel);
                    let now = || clock.load(Ordering::Acquire);
                    let admit = || match bucket.is_deep() {
                        true => bucket.admit_as(1, now, now),
                        false => bucket.admit_at(now(), 1),
                    };
                    let call = || match admit() {
                        Verdict::Admitted => true,
                        Verdict::Denied(_) => false,
                        Verdict::Unknown => keyless.with(&[plan], scale, now, |states, now| {
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
        explore(limit, 1, 3, |taken| assert_eq!(taken[0] + taken[1], 2));
    }

    /// It owes seven seconds, so that calls need not read the precise clock.
    #[test]
    fn a_bucket_deep_in_debt_gives_what_it_has() {
        let limit = Limit::token_bucket(1, Duration::from_secs(1)).burst(10);
        explore(limit, 7, 3, |taken| assert_eq!(taken[0] + taken[1], 3));
    }

    /// One thread still knows a time that another has seen pass.
    #[test]
    fn a_bucket_deep_in_debt_gives_no_more_for_time_that_passes() {
        let limit = Limit::token_bucket(1, Duration::from_secs(1)).burst(10);
        let later = FIRST + 2_000_000_000;
        explore(limit, 9, later, |taken| {
            // One unit is left, and two more there are two seconds later.
            assert!((1..=3).contains(&(taken[0] + taken[1])), "{taken:?}");
        });
    }

    #[test]
    fn a_window_gives_its_quota() {
        let limit = Limit::fixed_window(3, Duration::from_nanos(PERIOD));
        explore(limit, 1, 3, |taken| assert_eq!(taken[0] + taken[1], 2));
    }

    /// One thread still sees the window that another has already followed by a new one.
    #[test]
    fn windows_that_roll_give_each_its_quota() {
        let limit = Limit::fixed_window(2, Duration::from_nanos(PERIOD));
        explore(limit, 1, FIRST + PERIOD + 1, |taken| {
            // One unit is left of the first window, and two there are of the second.
            assert!((2..=3).contains(&(taken[0] + taken[1])), "{taken:?}");
        });
    }

    #[test]
    fn a_sliding_window_that_rolls_gives_no_more() {
        let limit = Limit::sliding_window(2, Duration::from_nanos(PERIOD));
        explore(limit, 1, FIRST + PERIOD + 1, |taken| {
            // What the first window gave counts on, but for the part that has passed.
            assert_eq!(taken[0] + taken[1], 2, "{taken:?}");
        });
    }
}
