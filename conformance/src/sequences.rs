//! Exact decision sequences.
//!
//! `data/sequences.jsonl` holds one sequence a line: an algorithm, its numbers, and calls
//! with the decision each must get. All times are in nanoseconds, computed in exact arithmetic.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Algo, Config, Decision, Error, Handler, Limit, Throttle};
use serde::Deserialize;

/// One sequence, which is one line of the file.
#[derive(Debug, Deserialize)]
struct Sequence {
    /// The name, unique in the file.
    name: String,
    algo: String,
    quota: u64,
    duration: u64,
    burst: Option<u64>,
    bucket_size: Option<u64>,
    /// The calls in their order.
    calls: Vec<Call>,
}

/// One call and the decision it must get.
#[derive(Debug, Deserialize)]
struct Call {
    /// Nanoseconds since the start of the sequence.
    at: u64,
    /// The caller's part of the key.
    key: String,
    /// Units to take.
    cost: u64,
    decision: String,
    wait: Option<u64>,
    retry_after: Option<u64>,
    remaining: Option<u64>,
}

/// Every sequence of the file.
fn sequences() -> Vec<Sequence> {
    include_str!("../data/sequences.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of sequences.jsonl does not parse"))
        .collect()
}

impl Sequence {
    /// The limit that decides.
    fn limit(&self) -> Limit {
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

/// Runs every sequence on a handler of its own. Returns how many calls were compared, and what was decided
/// differently first in each.
///
/// Decisions and `remaining` must be exact; `retry_after` and `wait` may be later by less than
/// `resolution`, never earlier. The calls go through a [`Throttle`], as a user's do.
pub(crate) fn replay<H: Handler>(
    resolution: Duration,
    handler: impl Fn(ManualClock) -> H,
) -> (usize, Vec<String>) {
    const KEYSPACE: &str = "premier-conformance sequences";
    let (mut compared, mut different) = (0, Vec::new());
    for sequence in sequences() {
        let clock = ManualClock::new();
        let handler = handler(clock.clone());
        if compared == 0
            && let Err(error) = handler.clear(KEYSPACE)
        {
            different.push(format!("clear before the sequences: {error}"));
        }
        let config = Config::new(handler).keyspace(KEYSPACE);
        let throttle = Throttle::new(&sequence.name, sequence.limit()).with_config(config);
        let mut first = None;
        let mut count = 0;
        for (index, call) in sequence.calls.iter().enumerate() {
            clock.set(Duration::from_nanos(call.at));
            let got = throttle.cost(call.cost).check(&call.key);
            if let Err(difference) = call.compare(&got, resolution) {
                count += 1;
                let step = index + 1;
                first.get_or_insert_with(|| format!("step {step}, {call:?}: {difference}"));
            }
            compared += 1;
        }
        if let Some(first) = first {
            different.push(format!(
                "sequence {} {first} ({count} steps of this sequence differ)",
                sequence.name
            ));
        }
    }
    (compared, different)
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
