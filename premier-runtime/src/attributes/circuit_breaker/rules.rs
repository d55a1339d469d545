//! When a circuit opens and closes, and for how long it is open.

use std::time::Duration;

use super::window::BucketLength;

/// The rules of one breaker.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) failures: FailureRule,
    /// The share of slow calls that opens the circuit. Without one, slow calls are calls like others.
    pub(super) slow_rate: Option<f64>,
    /// Rates of fewer calls open nothing.
    pub(super) minimum_calls: u64,
    /// How long a call counts.
    pub(super) within: Duration,
    /// The length of a bucket of the windows that count calls for `within`.
    pub(super) bucket_length: BucketLength,
    /// How long a slow call runs at least.
    pub(super) slow: Duration,
    pub(super) open_for: Duration,
    /// The longest time for which the circuit is open, if the time grows.
    pub(super) open_for_max: Option<Duration>,
    pub(super) probes: u64,
}

/// Which failures open a circuit.
#[derive(Clone, Copy, Debug)]
pub(super) enum FailureRule {
    /// As many as this.
    Count(u64),
    /// This share of the calls.
    Rate(f64),
}

/// How many calls there were, and how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

/// What a closed circuit does after a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Close,
    Open,
    Wait,
}

/// Whether `part` of `whole` is at least `rate`. A division, because `3.0 / 30.0 == 0.1` holds and
/// `0.1 * 30.0 == 3.0` does not.
#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of calls are below 2^53"
)]
fn reaches(rate: f64, part: u64, whole: u64) -> bool {
    part > 0 && part as f64 / whole as f64 >= rate
}

impl Rules {
    /// Whether any rule is about a share of calls, so that all calls are counted.
    pub(super) fn count_calls(&self) -> bool {
        self.slow_rate.is_some() || matches!(self.failures, FailureRule::Rate(_))
    }

    /// Whether the rates are reached, without regard to `minimum_calls`.
    pub(super) fn rates_are_reached(
        &self,
        Tally {
            calls,
            failed,
            slow,
        }: Tally,
    ) -> bool {
        let failed = match self.failures {
            FailureRule::Count(_) => false,
            FailureRule::Rate(rate) => reaches(rate, failed, calls),
        };
        failed
            || self
                .slow_rate
                .is_some_and(|rate| reaches(rate, slow, calls))
    }

    /// Returns what the circuit does after these probes, as soon as the remaining ones cannot change it.
    pub(super) fn judge(&self, ended: Tally) -> Verdict {
        let left = self.probes.saturating_sub(ended.calls);
        let opens = |tally: Tally| match self.failures {
            FailureRule::Count(_) if tally.failed > 0 => true,
            _ => self.rates_are_reached(tally),
        };
        let with = |more: u64| Tally {
            calls: ended.calls + left,
            failed: ended.failed + more,
            slow: ended.slow + more,
        };
        if opens(with(0)) {
            Verdict::Open
        } else if !opens(with(left)) {
            Verdict::Close
        } else {
            Verdict::Wait
        }
    }

    /// For how long the circuit is open when it has opened `trips` times without closing. Where the time grows,
    /// it is random between a half of its longest and its longest, so that processes do not probe in step.
    pub(super) fn open_time(&self, trips: u32, random: impl FnOnce() -> f64) -> Duration {
        let Some(max) = self.open_for_max else {
            return self.open_for;
        };
        let factor = 1u32.checked_shl(trips).unwrap_or(u32::MAX);
        let longest = self.open_for.saturating_mul(factor).min(max);
        let shortest = (longest / 2).max(self.open_for).min(longest);
        shortest + (longest - shortest).mul_f64(random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules(failures: FailureRule, slow_rate: Option<f64>, probes: u64) -> Rules {
        Rules {
            failures,
            slow_rate,
            minimum_calls: 20,
            within: 10 * SECOND,
            bucket_length: BucketLength::of(10 * SECOND),
            slow: SECOND,
            open_for: 30 * SECOND,
            open_for_max: None,
            probes,
        }
    }

    fn tally(calls: u64, failed: u64, slow: u64) -> Tally {
        Tally {
            calls,
            failed,
            slow,
        }
    }

    #[test]
    fn a_rate_is_reached_by_exactly_its_share() {
        for (rate, failed, calls) in [(0.1, 3, 30), (0.7, 7, 10), (1.0, 4, 4), (0.5, 10, 20)] {
            let rules = rules(FailureRule::Rate(rate), None, 5);
            assert!(rules.rates_are_reached(tally(calls, failed, 0)), "{rate}");
            assert!(!rules.rates_are_reached(tally(calls, failed - 1, 0)));
        }
        assert!(!rules(FailureRule::Rate(0.5), None, 5).rates_are_reached(tally(0, 0, 0)));
    }

    #[test]
    fn probes_decide_as_soon_as_the_rest_cannot_change_the_outcome() {
        let by_rate = rules(FailureRule::Rate(0.5), None, 5);
        for (calls, failed, verdict) in [
            (2, 2, Verdict::Wait),
            (3, 3, Verdict::Open),
            (4, 2, Verdict::Wait),
            (5, 2, Verdict::Close),
            (2, 0, Verdict::Wait),
            (3, 0, Verdict::Close),
        ] {
            assert_eq!(by_rate.judge(tally(calls, failed, 0)), verdict);
        }
        let by_count = rules(FailureRule::Count(5), None, 2);
        assert_eq!(by_count.judge(tally(1, 1, 0)), Verdict::Open);
        assert_eq!(by_count.judge(tally(1, 0, 0)), Verdict::Wait);
        assert_eq!(by_count.judge(tally(2, 0, 0)), Verdict::Close);
    }

    #[test]
    fn slow_probes_open_a_circuit_that_has_a_rate_for_them() {
        let rules = rules(FailureRule::Rate(1.0), Some(0.5), 4);
        assert_eq!(rules.judge(tally(2, 0, 2)), Verdict::Open);
        assert_eq!(rules.judge(tally(3, 0, 0)), Verdict::Close);
    }

    #[test]
    fn the_open_time_doubles_up_to_its_longest_and_is_never_shorter_than_open_for() {
        let mut rules = rules(FailureRule::Count(1), None, 1);
        assert_eq!(rules.open_time(9, || 0.5), 30 * SECOND);
        rules.open_for_max = Some(600 * SECOND);
        for (trips, shortest, longest) in [
            (1, 30, 60),
            (2, 60, 120),
            (4, 240, 480),
            (5, 300, 600),
            (60, 300, 600),
        ] {
            assert_eq!(rules.open_time(trips, || 0.0), shortest * SECOND);
            assert_eq!(rules.open_time(trips, || 1.0), longest * SECOND);
        }
        rules.open_for_max = Some(30 * SECOND);
        assert_eq!(rules.open_time(3, || 0.5), 30 * SECOND);
    }
}
