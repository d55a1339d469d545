//! Random calls of several processes, and the lines by which they say what was decided about them.

use std::fmt::Write as _;
use std::time::Duration;

use premier::algorithms::Plan;
use premier::{Decision, Key, Limit, Operation, Request};

/// The maximum wait of calls that may wait. It is no multiple of an emission interval, so that the arguments of
/// these calls differ from those of other calls.
pub const LONGEST_WAIT: Duration = Duration::from_micros(7_013);

/// How many callers' keys each limit has: few, so that calls meet.
pub const SUBJECTS: usize = 2;

/// The limits of one function.
#[derive(Debug)]
pub struct Case {
    /// The prefix of its keys.
    pub prefix: String,
    /// Its limits.
    pub plans: Vec<Plan>,
}

/// All five algorithms, groups of two and three limits, and, last, two functions that decide as one.
///
/// # Panics
/// Never, because the limits are valid.
#[must_use]
pub fn cases() -> Vec<Case> {
    let ms = Duration::from_millis;
    let limits: [&[Limit]; 11] = [
        &[Limit::fixed_window(20, ms(50))],
        &[Limit::sliding_window(20, ms(50))],
        &[Limit::sliding_log(20, ms(50))],
        &[Limit::token_bucket(7, ms(10)).burst(20)],
        &[Limit::token_bucket(10, ms(10)).burst(20)],
        &[Limit::leaky_bucket(3, ms(10)).bucket_size(10)],
        &[
            Limit::token_bucket(7, ms(10)).burst(20),
            Limit::fixed_window(30, ms(50)),
        ],
        &[
            Limit::sliding_window(25, ms(40)),
            Limit::leaky_bucket(3, ms(10)).bucket_size(12),
            Limit::fixed_window(20, ms(30)),
        ],
        &[
            Limit::sliding_log(20, ms(40)),
            Limit::token_bucket(7, ms(10)).burst(15),
        ],
        &[Limit::fixed_window(15, ms(50))],
        &[Limit::token_bucket(3, ms(10)).burst(15)],
    ];
    let plan = |limit: &Limit| Plan::new(*limit).expect("a valid limit");
    limits
        .iter()
        .enumerate()
        .map(|(index, limits)| Case {
            prefix: format!("batching:case{index}:{}", limits[0].algo()),
            plans: limits.iter().map(plan).collect(),
        })
        .collect()
}

/// A call: the index and the caller's key of each function, and the operation on all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The index of each case, and its caller's key.
    pub asked: Vec<(usize, usize)>,
    /// The operation.
    pub operation: Operation,
}

impl Call {
    /// A random call. Costs are at most 5.
    #[must_use]
    pub fn random(mut random: impl FnMut(usize) -> usize) -> Self {
        let subject = random(SUBJECTS);
        let cost = [1, 1, 1, 2, 3, 5][random(6)];
        let case = random(10);
        if case == 9 {
            return Self {
                asked: vec![(9, subject), (10, random(SUBJECTS))],
                operation: Operation::Take(cost),
            };
        }
        let operation = match random(20) {
            0..=1 => Operation::Refund(1),
            2 => Operation::Peek(cost),
            // Only arguments of buckets show how long a call may wait.
            3..=5 if (3..=6).contains(&case) => Operation::Reserve {
                cost,
                longest: LONGEST_WAIT,
            },
            _ => Operation::Take(cost),
        };
        Self {
            asked: vec![(case, subject)],
            operation,
        }
    }

    /// Whether this call takes units of a single limit, without waiting.
    #[must_use]
    pub fn takes_from_one_limit(&self) -> bool {
        matches!(self.operation, Operation::Take(_)) && self.asked.iter().all(|(case, _)| *case < 6)
    }

    /// The requests.
    #[must_use]
    pub fn requests<'a>(&self, cases: &'a [Case]) -> Vec<Request<'a>> {
        let request = |(case, subject): &(usize, usize)| {
            let Case { prefix, plans } = &cases[*case];
            let key = Key::new(prefix, Some(["0", "1"][*subject]));
            Request::new(key, plans, self.operation)
        };
        self.asked.iter().map(request).collect()
    }

    /// One line for the call at a time in nanoseconds and the decisions about it.
    #[must_use]
    pub fn line(&self, now: u64, decisions: &[Decision]) -> String {
        let mut line = String::new();
        for ((case, subject), decision) in self.asked.iter().zip(decisions) {
            let [retry, reset, delay] =
                [decision.retry_after, decision.reset_after, decision.delay].map(micros);
            let (allowed, remaining) = (decision.allowed, decision.remaining);
            let _ = write!(
                line,
                "case {case} key {subject}: {allowed}, remaining {remaining}, retry {retry}, \
                 reset {reset}, delay {delay}; "
            );
        }
        let _ = write!(line, "{:?} at {}", self.operation, now / 1_000);
        line
    }
}

/// Whole microseconds, rounded up.
fn micros(time: Duration) -> u128 {
    time.as_nanos().div_ceil(1_000)
}
