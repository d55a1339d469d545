//! Exact decision sequences, and the runner that compares a handler with them.
//!
//! `tests/data/sequences.jsonl` holds one sequence a line: an algorithm, its numbers, and calls
//! with the decision each must get. All times are in nanoseconds, computed in exact arithmetic.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Config, Decision, Error, Limit, Throttle};
use serde::Deserialize;

/// One sequence, which is one line of the file.
#[derive(Debug, Deserialize)]
pub struct Sequence {
    /// The name, unique in the file.
    pub name: String,
    algo: String,
    quota: u64,
    duration: u64,
    burst: Option<u64>,
    bucket_size: Option<u64>,
    /// The calls in their order.
    pub calls: Vec<Call>,
}

/// One call and the decision it must get.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// Nanoseconds since the start of the sequence.
    pub at: u64,
    /// The caller's part of the key.
    pub key: String,
    /// Units to take.
    pub cost: u64,
    decision: String,
    wait: Option<u64>,
    retry_after: Option<u64>,
    remaining: Option<u64>,
}

/// Every sequence of the file.
///
/// # Panics
/// When the file does not parse.
#[must_use]
pub fn sequences() -> Vec<Sequence> {
    include_str!("../data/sequences.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of sequences.jsonl does not parse"))
        .collect()
}

impl Sequence {
    /// The limit that decides.
    ///
    /// # Panics
    /// When the file names an algorithm that does not exist.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let algo: Algo = self.algo.parse().expect("unknown algorithm");
        let mut limit = Limit::new(algo, self.quota, Duration::from_nanos(self.duration));
        if let Some(burst) = self.burst {
            limit = limit.burst(burst);
        }
        if let Some(size) = self.bucket_size {
            limit = limit.bucket_size(size);
        }
        limit
    }
}

/// Runs every sequence on a handler and panics with all calls that it decided differently.
///
/// `handler` is called once for each sequence with the clock that the handler must use.
/// Decisions and `remaining` must be exact; `retry_after` and `wait` may be later by less than
/// `resolution`, never earlier. Returns how many calls were compared.
///
/// # Panics
/// When a decision differs.
pub fn run<C: Into<Config>>(
    resolution: Duration,
    mut handler: impl FnMut(ManualClock) -> C,
) -> usize {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for sequence in sequences() {
        let clock = ManualClock::new();
        let throttle =
            Throttle::new(&sequence.name, sequence.limit()).with_config(handler(clock.clone()));
        for call in &sequence.calls {
            clock.set(Duration::from_nanos(call.at));
            let got = throttle.cost(call.cost).check(&call.key);
            if let Err(difference) = call.compare(&got, resolution) {
                wrong.push(format!("{} {call:?}: {difference}", sequence.name));
            }
            compared += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared} calls differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    compared
}

impl Call {
    fn compare(&self, got: &Result<Decision, Error>, resolution: Duration) -> Result<(), String> {
        let decision = match (got, self.decision.as_str()) {
            (Err(Error::CostExceedsCapacity { .. }), "never") => return Ok(()),
            (Ok(decision), "allow" | "deny") => decision,
            (got, _) => return Err(format!("{got:?}")),
        };
        let close = |got: Duration, expected: Option<u64>| {
            expected.is_none_or(|expected| {
                let expected = Duration::from_nanos(expected);
                expected <= got && got < expected + resolution
            })
        };
        let fits = decision.allowed == (self.decision == "allow")
            && close(decision.retry_after, self.retry_after)
            && close(decision.delay, self.wait)
            && self
                .remaining
                .is_none_or(|remaining| remaining == decision.remaining);
        if fits {
            Ok(())
        } else {
            Err(format!("{decision:?}"))
        }
    }
}
