//! The state of a limit without a key.
//!
//! A bucket's whole state is one instant, and mostly it fits a word: then calls change that word by
//! compare-and-swap and never meet a lock. The state is at one place at a time. While the word is
//! zero it is behind the lock; otherwise it is the word, which only the holder of the lock sets
//! from or to zero. A swap that succeeds therefore changes the one true state, whatever came
//! between, and what a call decides by, the instant and the time it read before, is all there is to
//! decide by: there is no second place that could disagree.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::table::{States, lock};
use crate::Algo;
use crate::algorithms::{Plan, State};

#[derive(Debug, Default)]
pub(super) struct Keyless {
    /// The instant of a bucket in the ticks of `scale`, plus one; zero while the state is behind
    /// the lock.
    word: AtomicU64,
    states: Mutex<States>,
    /// Set once: a word always counts in the same ticks from the same origin.
    scale: OnceLock<Scale>,
}

#[derive(Clone, Copy, Debug)]
struct Scale {
    den: u64,
    /// In nanoseconds.
    origin: u64,
}

/// Instants and debts below this are kept in the word: sums of three fit.
const LARGEST: u64 = 1 << 62;

impl Scale {
    fn ticks(self, now: u64) -> Option<u64> {
        let ticks = now.checked_sub(self.origin)?.checked_mul(self.den)?;
        (ticks < LARGEST).then_some(ticks)
    }

    fn origin(self) -> u128 {
        u128::from(self.origin) * u128::from(self.den)
    }
}

/// All that a call needs to admit itself by the word, side by side: what is reached by one pointer
/// is waited for once.
#[derive(Debug)]
pub(crate) struct Bucket {
    keyless: Arc<Keyless>,
    scale: Scale,
    interval: u64,
    full: u64,
    capacity: u64,
    /// Whether it is a queue, which admits at once only whoever has nothing to wait for.
    is_queue: bool,
}

/// What the word says of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Admitted,
    /// For so many nanoseconds.
    Denied(u64),
    /// The state has to be asked.
    Unknown,
}

impl Bucket {
    /// See [`State::admit`].
    #[inline]
    pub(crate) fn admit(&self, now: u64, cost: u64) -> Verdict {
        if cost == 0 || cost > self.capacity {
            return Verdict::Unknown;
        }
        let Some(now) = self.scale.ticks(now) else {
            return Verdict::Unknown;
        };
        // Not more than `full`, so it fits.
        let cost = cost * self.interval;
        let word = &self.keyless.word;
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let Some(instant) = seen.checked_sub(1) else {
                return Verdict::Unknown;
            };
            let to = instant.max(now) + cost;
            let admitted = if self.is_queue {
                instant <= now
            } else {
                to <= now + self.full
            };
            if !admitted {
                return self.refusal(instant, now, cost);
            }
            let swapped =
                word.compare_exchange_weak(seen, to + 1, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Verdict::Admitted,
                Err(newer) => seen = newer,
            }
        }
    }

    /// Of an instant that lies ahead of `now`.
    #[inline]
    fn refusal(&self, instant: u64, now: u64, cost: u64) -> Verdict {
        // Further ahead than a full debt only a clock that stepped back can have put it.
        if self.is_queue || instant > now + self.full {
            return Verdict::Unknown;
        }
        Verdict::Denied((instant + cost - now - self.full).div_ceil(self.scale.den))
    }
}

impl Keyless {
    /// For a limit whose state fits the word.
    pub(super) fn bucket(self: &Arc<Self>, plan: &Plan, now: u64) -> Option<Bucket> {
        let is_queue = match plan.limit().algo() {
            Algo::TokenBucket => false,
            Algo::LeakyBucket => true,
            _ => return None,
        };
        let full = u64::try_from(plan.full())
            .ok()
            .filter(|full| *full < LARGEST)?;
        let scale = *self.scale(plan, now);
        (scale.den == plan.den()).then(|| Bucket {
            keyless: Arc::clone(self),
            scale,
            interval: plan.interval(),
            full,
            capacity: plan.capacity(),
            is_queue,
        })
    }

    fn scale(&self, plan: &Plan, now: u64) -> &Scale {
        self.scale.get_or_init(|| Scale {
            den: plan.den(),
            origin: now,
        })
    }

    /// See [`State::admit`]: behind the lock.
    pub(super) fn admit(&self, plan: &Plan, now: u64, cost: u64) -> bool {
        match plan.limit().algo() {
            // Its state may be the word.
            Algo::LeakyBucket | Algo::TokenBucket => false,
            _ => lock(&self.states).admit(plan, now, cost),
        }
    }

    /// Does whatever there is to do with the states of these limits.
    pub(super) fn with<R>(
        &self,
        plans: &[Plan],
        now: u64,
        work: impl FnOnce(&mut [State]) -> R,
    ) -> R {
        let mut states = lock(&self.states);
        let word = self.word.swap(0, Ordering::Relaxed);
        if let (Some(instant), Some(scale)) = (word.checked_sub(1), self.scale.get()) {
            let ticks = scale.origin() + u128::from(instant);
            states.as_mut_slice()[0] = State::at_instant(ticks, scale.den);
        }
        let result = work(states.sized(plans.len()));
        if let (States::One(state), [plan]) = (&*states, plans) {
            let word = self.word_of(state, plan, now);
            self.word.store(word, Ordering::Relaxed);
        }
        result
    }

    /// The word for a state; zero when it does not fit.
    fn word_of(&self, state: &State, plan: &Plan, now: u64) -> u64 {
        if !matches!(plan.limit().algo(), Algo::TokenBucket | Algo::LeakyBucket) {
            return 0;
        }
        let scale = self.scale(plan, now);
        state
            .instant(scale.den)
            // What lies before the origin is past, and all that is past is alike.
            .and_then(|ticks| u64::try_from(ticks.saturating_sub(scale.origin())).ok())
            .filter(|ticks| *ticks < LARGEST)
            .map_or(0, |ticks| ticks + 1)
    }

    pub(super) fn clear(&self) {
        let mut states = lock(&self.states);
        self.word.store(0, Ordering::Relaxed);
        *states = States::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Limit;

    const SECOND: Duration = Duration::from_secs(1);

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
        ] {
            let plan = Plan::new(limit).unwrap();
            let plans = [plan];
            let (keyless, mut state) = (Arc::new(Keyless::default()), State::default());
            let mut now = 1 << 56;
            let Some(bucket) = keyless.bucket(&plan, now) else {
                assert!(plan.full() >= u128::from(LARGEST), "{limit:?}");
                continue;
            };
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
                match bucket.admit(at, cost) {
                    Verdict::Admitted => {
                        assert!(
                            decision.allowed && decision.delay.is_zero(),
                            "{limit:?} {at}"
                        );
                        state = other;
                    }
                    Verdict::Denied(nanos) => {
                        assert!(!decision.allowed, "{limit:?} {at}");
                        assert_eq!(decision.retry_after, Duration::from_nanos(nanos));
                        assert_eq!(other, state, "{limit:?} {at}");
                    }
                    Verdict::Unknown => {
                        let slow =
                            keyless.with(&plans, at, |states| states[0].take(&plan, at, cost));
                        assert_eq!(slow, state.take(&plan, at, cost), "{limit:?} {at}");
                    }
                }
                if random.u8(..50) == 0 {
                    let units = random.u64(..3);
                    keyless.with(&plans, at, |states| states[0].refund(&plan, at, units));
                    state.refund(&plan, at, units);
                }
            }
        }
    }

    /// Threads that use the word and threads that use the lock never admit more than there is.
    #[test]
    fn nothing_is_admitted_twice() {
        for _ in 0..200 {
            let plan = Plan::new(Limit::token_bucket(1, 1_000_000 * SECOND).burst(100)).unwrap();
            let keyless = Arc::new(Keyless::default());
            let bucket = keyless.bucket(&plan, 1_000).unwrap();
            let admitted = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (keyless, bucket) = (&keyless, &bucket);
                    let (admitted, plan) = (&admitted, &plan);
                    scope.spawn(move || {
                        for call in 0..60 {
                            let now = 1_000 + call;
                            let taken = bucket.admit(now, 1) == Verdict::Admitted
                                || keyless.with(std::slice::from_ref(plan), now, |states| {
                                    // Looking moves the state as well.
                                    thread > 0 && states[0].take(plan, now, 1).allowed
                                });
                            admitted.fetch_add(u64::from(taken), Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(admitted.into_inner(), 100);
        }
    }
}
