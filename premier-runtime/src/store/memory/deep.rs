//! Admitting from a bucket that is deep in debt, without reading the precise clock.
//!
//! An admitted call moves the instant of a bucket that owes by its cost, whenever it comes. The time
//! matters for two questions only:
//!
//! 1. Does the debt, with this call, still fit? It does now if it did at any earlier time.
//! 2. Does the bucket still owe? That takes a time which is *not earlier* than now, and there is none
//!    that costs less than the precise clock. But whoever read the precise clock a moment ago knows
//!    where time cannot have got to since, as long as something else vouches for that moment being
//!    short: the system's clock of the last tick.
//!
//! So a call that reads the precise time `p`, after it had read the tick clock at `L`, and found the
//! bucket to owe more than [`REACH`], leaves for others: "until the tick clock shows L + [`SPAN`], no
//! call is later than p + REACH". They decide by the word and the tick clock. What they decide is what
//! the precise clock would have had them decide, exactly.
//!
//! Proof: let such a call come at the precise time t. It found the tick clock below L + SPAN. Were
//! t > p + REACH, more than REACH had passed since p, and so since L was read; then the tick clock,
//! which showed at least L then, would be behind by more than REACH - SPAN, two seconds (1.8, should
//! the system slew its clocks by the tenth that it may at most). A kernel updates it every tick, at
//! least every 10 ms; newer ones do so on any processor that gets ticks, should the one whose turn it
//! is hang.
//!
//! Should a kernel stand still for longer than that while the process runs on, or the whole machine
//! (then the tick clock may be late for the first ticks after, and may not count what the processor's
//! counter does), a call may move an instant that time has overtaken, and the bucket comes to hold
//! more than is due. By how much is bounded whatever the lag: nobody moves the word further than
//! [`UNITS`] beyond what the precise clock has last been seen to allow. So a bucket gives at most UNITS
//! units too many, once for each such standstill.
//!
//! What is left for others are statements about time, not about the bucket: they stay true whatever
//! becomes of the word, a refund or a reset included.

use super::sync::{AtomicBool, AtomicU64, Ordering};
use super::word::Gcra;

/// How long a reading of the precise clock serves, in nanoseconds.
const SPAN: u64 = 1_000_000_000;

/// How deep in debt a bucket has to be.
const REACH: u64 = 3 * SPAN;

/// How many units are admitted before the precise clock is read again.
const UNITS: u64 = 64;

/// What is known of the time, in the words of one bucket. Of `latest` and `until` nothing is ever
/// taken back: both only grow, so that any mixture of two readings says no more than the later one.
/// Any `top` there has been stays true; a lower one is only less.
// On cache lines of its own: it is read by all calls, and nearly never written.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Depth {
    /// While the tick clock shows less than this …
    until: AtomicU64,
    /// … no call is later than this,
    latest: AtomicU64,
    /// and a word up to this is not more than a full debt ahead.
    top: AtomicU64,
    /// Whether the last call that asked the precise clock found the bucket deep enough: otherwise the
    /// tick clock would be read in vain.
    is_worth_a_look: AtomicBool,
}

impl Depth {
    /// Whether a limit can be so deep in debt that it is worth looking.
    pub(super) fn serves(gcra: &Gcra) -> bool {
        cfg!(any(target_os = "linux", target_os = "android")) && gcra.longest_debt() > 2 * REACH
    }

    /// Nothing is admitted from here any more: no word is large enough, and this number, too, only
    /// grows.
    pub(super) fn close(&self) {
        self.latest.fetch_max(u64::MAX, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.latest.load(Ordering::Relaxed) == u64::MAX
    }

    /// The word has become smaller, so what was allowed beyond the one before is more than [`UNITS`].
    pub(super) fn lower(&self) {
        self.top.store(0, Ordering::Relaxed);
    }

    /// Whether the time of the last tick tells enough of the time now. Then it does so for
    /// [`admits`](Self::admits).
    #[inline]
    pub(super) fn is_known(&self, last_tick: impl FnOnce() -> u64) -> bool {
        self.is_worth_a_look.load(Ordering::Relaxed)
            // Acquire: before `latest` is read for the decision, which is written before this.
            && last_tick() < self.until.load(Ordering::Acquire)
    }

    /// Whether a call may move the word from `from` to `to`.
    #[inline]
    pub(super) fn admits(&self, from: u64, to: u64) -> bool {
        // Acquire: what another limit would allow is written only after `latest` has been closed.
        to <= self.top.load(Ordering::Acquire) && from >= self.latest.load(Ordering::Relaxed)
    }

    /// A call has moved the word from `from` to `to` at the precise time `time`.
    #[inline(never)]
    pub(super) fn note(
        &self,
        gcra: &Gcra,
        from: u64,
        to: u64,
        time: u64,
        last_tick: impl FnOnce() -> u64,
        now: impl FnOnce() -> u64,
    ) {
        let word = |time: u64| gcra.word_at(time);
        let (Some(present), Some(latest)) = (word(time), word(time.saturating_add(REACH))) else {
            return;
        };
        if from < latest || self.is_closed() {
            return self.look(false);
        }
        self.look(true);
        let most = to.saturating_add(gcra.ticks_of_units(UNITS));
        self.top
            .store(most.min(present + gcra.full()), Ordering::Release);
        let until = last_tick().saturating_add(SPAN);
        // Nearly always the pair of readings before still serves.
        if until - SPAN / 2 > self.until.load(Ordering::Relaxed)
            && let Some(latest) = word(now().saturating_add(REACH))
        {
            self.latest.fetch_max(latest, Ordering::Relaxed);
            // Release: whoever sees this sees `latest`, or a later one.
            self.until.fetch_max(until, Ordering::Release);
        }
    }

    /// Says whether it is worth a look.
    pub(super) fn look(&self, is_worth_it: bool) {
        if self.is_worth_a_look.load(Ordering::Relaxed) != is_worth_it {
            self.is_worth_a_look.store(is_worth_it, Ordering::Relaxed);
        }
    }
}

#[cfg(all(
    test,
    not(premier_loom),
    any(target_os = "linux", target_os = "android")
))]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::bucket::Bucket;
    use super::super::keyless::Keyless;
    use super::super::word::{Scale, Verdict};
    use super::*;
    use crate::algorithms::{Plan, State};
    use crate::clock::SteadyClock;
    use crate::limit::quota::Limit;

    const SECOND: Duration = Duration::from_secs(1);
    const START: u64 = 1 << 56;

    fn bucket(plan: &Plan) -> (Arc<Keyless>, Scale, Bucket) {
        let (keyless, scale) = (Arc::new(Keyless::default()), Scale::new(plan.den(), START));
        let bucket = Bucket::new(&keyless, plan, scale, &SteadyClock::System).unwrap();
        // The first call makes the word.
        keyless.with(&[*plan], scale, || START, |_, _| ());
        (keyless, scale, bucket)
    }

    /// However late the tick clock is within what the proof allows, and whatever comes between.
    #[test]
    fn decisions_are_those_of_the_precise_clock() {
        let mut random = fastrand::Rng::with_seed(11);
        for limit in [
            Limit::token_bucket(1, SECOND).burst(1_000),
            Limit::token_bucket(20, SECOND).burst(121),
            Limit::token_bucket(3, 5 * SECOND).burst(1 << 20),
            Limit::token_bucket(7, 60 * SECOND).burst(90),
            Limit::token_bucket(1_000, 60 * SECOND),
            Limit::token_bucket(999_983, 3_600 * SECOND),
        ] {
            let plan = Plan::new(limit).unwrap();
            let (keyless, scale, bucket) = bucket(&plan);
            let (mut state, mut now, mut tick) = (State::default(), START, 0);
            let without_reading = Cell::new(0);
            for _ in 0..200_000 {
                now += match random.u16(..2_000) {
                    0 => random.u64(..plan.period() * 3),
                    1..20 => random.u64(..3 * SPAN),
                    20..100 => random.u64(..plan.period().min(SPAN) / 4),
                    _ => random.u64(..100_000),
                };
                // It stands still for as long as it may, and comes back.
                if random.u8(..30) == 0 {
                    tick = now - START;
                }
                tick = tick.max((now - START).saturating_sub(2 * SPAN));
                let cost = match random.u16(..500) {
                    0 => random.u64(1..=plan.capacity()),
                    _ => random.u64(1..4),
                };
                let read = Cell::new(false);
                let precise = || {
                    read.set(true);
                    now
                };
                let mut other = state.clone();
                let decision = other.take(&plan, now, cost);
                match bucket.admit_as(cost, precise, || tick) {
                    Verdict::Admitted => {
                        assert!(decision.allowed, "{limit:?} {now}");
                        state = other;
                    }
                    Verdict::Denied(nanos) => {
                        assert!(!decision.allowed, "{limit:?} {now}");
                        assert_eq!(decision.retry_after, Duration::from_nanos(nanos));
                    }
                    Verdict::Unknown => {
                        let take = |states: &mut [State], now| states[0].take(&plan, now, cost);
                        let slow = keyless.with(&[plan], scale, || now, take);
                        assert_eq!(slow, state.take(&plan, now, cost), "{limit:?} {now}");
                    }
                }
                without_reading.set(without_reading.get() + u32::from(!read.get()));
                if random.u16(..1_000) == 0 {
                    let units = random.u64(..=plan.capacity());
                    keyless.with(
                        &[plan],
                        scale,
                        || now,
                        |states, now| {
                            states[0].refund(&plan, now, units);
                        },
                    );
                    state.refund(&plan, now, units);
                }
            }
            assert!(
                without_reading.get() > 1_000,
                "{limit:?}: {without_reading:?}"
            );
        }
    }

    /// The tick clock stands still for as long as it may, while the bucket runs full.
    #[test]
    fn a_bucket_that_runs_full_meanwhile_is_seen() {
        let mut random = fastrand::Rng::with_seed(13);
        let plan = Plan::new(Limit::token_bucket(1_000, SECOND).burst(10_000)).unwrap();
        let mut without_reading = 0;
        for _ in 0..20_000 {
            let (keyless, scale, bucket) = bucket(&plan);
            let (mut state, mut now) = (State::default(), START);
            let read = Cell::new(false);
            let mut call = |now: u64, tick: u64, cost| {
                read.set(false);
                let precise = || {
                    read.set(true);
                    now
                };
                let verdict = bucket.admit_as(cost, precise, || tick);
                assert_eq!(verdict, Verdict::Admitted);
                assert!(state.take(&plan, now, cost).allowed);
            };
            call(now, 7, random.u64(1_500..4_500));
            call(now, 7, 1);
            for _ in 0..2 {
                now += random.u64(..2 * SPAN);
                call(now, (now - START).saturating_sub(2 * SPAN) + 7, 1);
                without_reading += u32::from(!read.get());
            }
            let peek = |states: &mut [State], now| states[0].peek(&plan, now, 0);
            let left = keyless.with(&[plan], scale, || now, peek);
            assert_eq!(left, state.peek(&plan, now, 0));
        }
        assert!(without_reading > 1_000);
    }

    /// What it costs when the kernel stands still.
    #[test]
    fn a_tick_clock_that_stands_still_costs_so_many_units_once() {
        let mut random = fastrand::Rng::with_seed(12);
        for _ in 0..300 {
            let limit = Limit::token_bucket(10, SECOND).burst(1_000);
            let plan = Plan::new(limit).unwrap();
            let (_, _, bucket) = bucket(&plan);
            let larger = Plan::new(limit.burst(1_000 + UNITS)).unwrap();
            let (mut bound, mut now) = (State::default(), START);
            let mut admitted = 0;
            for _ in 0..5_000 {
                now += match random.u16(..400) {
                    0 => random.u64(..200 * SPAN),
                    _ => random.u64(..10_000_000),
                };
                match bucket.admit_as(1, || now, || 7) {
                    Verdict::Admitted => {
                        assert!(bound.take(&larger, now, 1).allowed);
                        admitted += 1;
                    }
                    Verdict::Denied(_) => {}
                    Verdict::Unknown => panic!("its state fits a word"),
                }
            }
            assert!(admitted > 1_000);
        }
    }

    /// Nor more than so many when units were given back before.
    #[test]
    fn what_is_given_back_is_not_there_twice() {
        let plan = Plan::new(Limit::token_bucket(10, SECOND).burst(1_000)).unwrap();
        for cleared in [false, true] {
            let (keyless, scale, bucket) = bucket(&plan);
            let call = |now: u64| bucket.admit_as(1, || now, || 7) == Verdict::Admitted;
            assert_eq!((0..990).filter(|_| call(START)).count(), 990);
            if cleared {
                keyless.clear();
                keyless.with(
                    &[plan],
                    scale,
                    || START,
                    |states, now| states[0].take(&plan, now, 35),
                );
            } else {
                keyless.with(
                    &[plan],
                    scale,
                    || START,
                    |states, now| {
                        states[0].refund(&plan, now, 950);
                    },
                );
            }
            let later = START + 1_000 * SPAN;
            let admitted = (0..5_000).filter(|_| call(later)).count();
            assert!(admitted <= 1_000 + UNITS as usize, "{admitted}");
        }
    }

    #[test]
    fn another_limit_of_the_same_state_ends_it() {
        let plan = Plan::new(Limit::token_bucket(1, SECOND).burst(100)).unwrap();
        let (keyless, scale, bucket) = bucket(&plan);
        let read = Cell::new(0);
        let call = || {
            let now = || {
                read.set(read.get() + 1);
                START
            };
            assert_eq!(bucket.admit_as(1, now, || 7), Verdict::Admitted);
        };
        (0..10).for_each(|_| call());
        read.set(0);
        (0..10).for_each(|_| call());
        assert_eq!(read.get(), 0);
        let smaller = Plan::new(Limit::token_bucket(1, SECOND).burst(50)).unwrap();
        Bucket::new(&keyless, &smaller, scale, &SteadyClock::System).unwrap();
        (0..10).for_each(|_| call());
        assert_eq!(read.get(), 10);
    }
}
