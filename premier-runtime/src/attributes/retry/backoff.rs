//! The delay before each retry.
//!
//! Jitter, where d is the delay of the strategy and cap is `max_delay`:
//! - full: uniform(0, d)
//! - equal: d/2 + uniform(0, d/2)
//! - decorrelated: min(cap, uniform(base, 3 · previous delay))
//!
//! d is capped before the jitter, so no delay is longer than the cap.
//!
//! Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;

/// How delays grow. The first retry has index 0.
pub enum Strategy {
    /// The delays in order. The last one repeats.
    Delays(Box<[Duration]>),
    /// base · factor^index
    Expo,
    /// base · fibonacci(index): 1, 1, 2, 3, 5 …
    Fibonacci,
    /// base
    Fixed,
    /// A function of the index.
    Function(Box<dyn Fn(u32) -> Duration + Send + Sync>),
    /// base · (index + 1)
    Linear,
}

impl Strategy {
    /// The jitter unless the attribute sets one.
    pub(super) const fn jitter(&self) -> Jitter {
        match self {
            Self::Expo => Jitter::Full,
            _ => Jitter::None,
        }
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Delays(_) => "Delays",
            Self::Expo => "Expo",
            Self::Fibonacci => "Fibonacci",
            Self::Fixed => "Fixed",
            Self::Function(_) => "Function",
            Self::Linear => "Linear",
        })
    }
}

/// How delays are randomised, so that callers which failed together do not retry together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Jitter {
    Decorrelated,
    Equal,
    Full,
    None,
}

impl FromStr for Jitter {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "decorrelated" => Self::Decorrelated,
            "equal" => Self::Equal,
            "full" => Self::Full,
            "none" => Self::None,
            other => {
                return Err(Error::config(format!(
                    "unknown jitter {other:?}: expected one of \"none\", \"full\", \"equal\", \"decorrelated\""
                )));
            }
        })
    }
}

/// The arguments that determine delays.
#[derive(Debug)]
pub(super) struct Backoff {
    pub(super) strategy: Strategy,
    pub(super) base: Duration,
    pub(super) factor: f64,
    pub(super) max_delay: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            strategy: Strategy::Expo,
            base: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// Returns the delay before a retry; `last` is the delay before the previous one.
    pub(super) fn delay(
        &self,
        index: u32,
        jitter: Jitter,
        last: Duration,
        random: &mut fastrand::Rng,
    ) -> Duration {
        let cap = self.max_delay;
        let mut between = |low: Duration, high: Duration| {
            let (low, high) = (to_nanos(low), to_nanos(high));
            Duration::from_nanos(random.u64(low..=high.max(low)))
        };
        match jitter {
            Jitter::None => self.plain(index),
            Jitter::Full => between(Duration::ZERO, self.plain(index)),
            Jitter::Equal => {
                let half = self.plain(index) / 2;
                half + between(Duration::ZERO, half)
            }
            Jitter::Decorrelated => {
                let last = last.max(self.base);
                between(self.base, last.saturating_mul(3)).min(cap)
            }
        }
    }

    /// Returns the capped delay without jitter.
    fn plain(&self, index: u32) -> Duration {
        let times = |count: u128| {
            let nanos = self.base.as_nanos().saturating_mul(count);
            u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
        };
        let delay = match &self.strategy {
            Strategy::Fixed => self.base,
            Strategy::Linear => times(u128::from(index) + 1),
            Strategy::Fibonacci => times(fibonacci(index)),
            Strategy::Expo => self.expo(index),
            Strategy::Delays(delays) => delays
                .get(index as usize)
                .or(delays.last())
                .copied()
                .unwrap_or_default(),
            Strategy::Function(function) => function(index),
        };
        delay.min(self.max_delay)
    }

    fn expo(&self, index: u32) -> Duration {
        // Integer arithmetic is exact for whole factors.
        if self.factor.fract() == 0.0 && self.factor < 1e9 {
            let power = (self.factor as u128).checked_pow(index);
            let nanos = power.and_then(|power| self.base.as_nanos().checked_mul(power));
            return nanos
                .and_then(|nanos| u64::try_from(nanos).ok())
                .map_or(Duration::MAX, Duration::from_nanos);
        }
        let power = self.factor.powi(i32::try_from(index).unwrap_or(i32::MAX));
        Duration::try_from_secs_f64(self.base.as_secs_f64() * power).unwrap_or(Duration::MAX)
    }
}

fn to_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn fibonacci(index: u32) -> u128 {
    let (mut one, mut next) = (1u128, 1u128);
    // Later numbers exceed every cap.
    for _ in 0..index.min(180) {
        (one, next) = (next, one.saturating_add(next));
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delays(backoff: &Backoff, jitter: Jitter, count: u32, seed: u64) -> Vec<Duration> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut last = Duration::ZERO;
        (0..count)
            .map(|index| {
                last = backoff.delay(index, jitter, last, &mut random);
                last
            })
            .collect()
    }

    fn millis(backoff: &Backoff, count: u32) -> Vec<u128> {
        delays(backoff, Jitter::None, count, 0)
            .iter()
            .map(Duration::as_millis)
            .collect()
    }

    fn expo(base: u64, factor: f64, cap: Duration) -> Backoff {
        Backoff {
            strategy: Strategy::Expo,
            base: Duration::from_millis(base),
            factor,
            max_delay: cap,
        }
    }

    #[test]
    fn exact_sequences_without_jitter() {
        let hour = 3_600 * SECOND;
        assert_eq!(millis(&expo(100, 2.0, hour), 4), [100, 200, 400, 800]);
        assert_eq!(millis(&expo(100, 3.0, hour), 3), [100, 300, 900]);
        assert_eq!(millis(&expo(100, 1.5, hour), 3), [100, 150, 225]);
        let capped = expo(100, 2.0, Duration::from_millis(500));
        assert_eq!(millis(&capped, 5), [100, 200, 400, 500, 500]);
        for (strategy, expected) in [
            (Strategy::Fixed, [1, 1, 1, 1, 1]),
            (Strategy::Linear, [1, 2, 3, 4, 5]),
            (Strategy::Fibonacci, [1, 1, 2, 3, 5]),
            (
                Strategy::Delays([SECOND, 2 * SECOND, 4 * SECOND].into()),
                [1, 2, 4, 4, 4],
            ),
            (
                Strategy::Function(Box::new(|index| index * SECOND)),
                [0, 1, 2, 3, 4],
            ),
        ] {
            let backoff = Backoff {
                strategy,
                ..Backoff::default()
            };
            let seconds = delays(&backoff, Jitter::None, 5, 0);
            assert_eq!(seconds, expected.map(|s| s * SECOND), "{backoff:?}");
        }
    }

    #[test]
    fn what_overflows_stays_at_the_cap() {
        for strategy in [Strategy::Expo, Strategy::Linear, Strategy::Fibonacci] {
            let backoff = Backoff {
                strategy,
                base: Duration::from_secs(u64::MAX / 4),
                ..Backoff::default()
            };
            for index in [0, 1, 31, 63, 64, 128, 1_000, u32::MAX] {
                assert_eq!(
                    backoff.plain(index),
                    backoff.max_delay,
                    "{backoff:?} {index}"
                );
            }
        }
        assert_eq!(expo(1, 1.5, SECOND).plain(u32::MAX), SECOND);
        let longest = expo(1_000, 2.0, Duration::MAX);
        let random = &mut fastrand::Rng::with_seed(1);
        longest.delay(u32::MAX, Jitter::Full, Duration::MAX, random);
        longest.delay(u32::MAX, Jitter::Equal, Duration::MAX, random);
        longest.delay(u32::MAX, Jitter::Decorrelated, Duration::MAX, random);
    }

    /// Mean and range over many draws.
    fn spread(jitter: Jitter, index: u32, last: Duration) -> (f64, f64, f64) {
        let backoff = expo(1_000, 2.0, 30 * SECOND);
        let mut random = fastrand::Rng::with_seed(42);
        let draws: Vec<f64> = (0..100_000)
            .map(|_| {
                backoff
                    .delay(index, jitter, last, &mut random)
                    .as_secs_f64()
            })
            .collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let min = draws.iter().copied().fold(f64::MAX, f64::min);
        let max = draws.iter().copied().fold(f64::MIN, f64::max);
        (mean, min, max)
    }

    #[test]
    fn jitter_is_uniform_over_its_range() {
        // (jitter, index, last, low, high)
        for (jitter, index, last, low, high) in [
            (Jitter::Full, 3, 4, 0.0, 8.0),
            (Jitter::Full, 10, 4, 0.0, 30.0),
            (Jitter::Equal, 3, 4, 4.0, 8.0),
            (Jitter::Decorrelated, 3, 4, 1.0, 12.0),
            (Jitter::Decorrelated, 0, 0, 1.0, 3.0),
        ] {
            let (mean, min, max) = spread(jitter, index, Duration::from_secs(last));
            let middle = f64::midpoint(low, high);
            let width = high - low;
            assert!((mean - middle).abs() < width * 0.005, "{jitter:?} {mean}");
            assert!(min >= low && min < low + width * 0.001, "{jitter:?} {min}");
            assert!(
                max <= high && max > high - width * 0.001,
                "{jitter:?} {max}"
            );
        }
        // Capped after the draw: two thirds of uniform(1, 60) above 20 are at the cap of 30.
        let (_, _, max) = spread(Jitter::Decorrelated, 5, 20 * SECOND);
        assert!((max - 30.0).abs() < f64::EPSILON);
    }
}
