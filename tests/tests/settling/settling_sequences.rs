//! Sequences of calls that are settled, computed by an exact model, in memory and on Redis. The model writes them
//! to `data/settling.jsonl` anew if `WRITE_SEQUENCES` is set.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use premier::clock::ManualClock;
use premier::{Algo, Config, Decision, Limit, MemoryHandler, Throttle};
use premier_tests::redis::Server;
use premier_tests::settling_model::Model;
use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Sequence {
    name: String,
    /// As [`Limit`] reads it.
    limit: String,
    max_debt: Option<u64>,
    calls: Vec<Call>,
}

/// A call of `cost` units, which is settled to `settle` at once if it is admitted. Times are in nanoseconds.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Call {
    at: u64,
    cost: u64,
    settle: Option<u64>,
    allowed: bool,
    wait: u64,
    retry_after: u64,
    /// After settling.
    remaining: u64,
    /// The time after which the key admits a unit after settling.
    next: u64,
}

/// The numbers of xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What the model decides about random calls.
fn sequences() -> Vec<Sequence> {
    let mut sequences = Vec::new();
    for (index, (algo, quota, millis)) in (0..15).map(|index| {
        let algo = [
            Algo::FixedWindow,
            Algo::SlidingWindow,
            Algo::SlidingLog,
            Algo::TokenBucket,
            Algo::LeakyBucket,
        ][index % 5];
        let (quota, millis) = [(10, 1_000), (7, 5_003), (97, 60_000)][index / 5];
        (index, (algo, quota, millis))
    }) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1));
        let limit = Limit::new(algo, quota, Duration::from_millis(millis));
        let max_debt = [None, Some(0), Some(3 * quota + 1)][(index % 5 + index / 5) % 3];
        let mut model = Model::new(&limit, max_debt);
        let mut at = 0;
        let calls = (0..60).map(|_| {
            if random.below(2) == 0 {
                at += 1_000 * random.below(millis * 400);
            }
            model.advance(at.into());
            let mut cost = random.below(quota / 3 + 2);
            let mut settle = match random.below(3) {
                0 => Some(random.below(4 * quota)),
                1 => Some(random.below(quota / 2)),
                _ => None,
            };
            if algo == Algo::LeakyBucket && settle.is_some() {
                // A call that waits for its slot is not settled at the instant of its decision.
                cost = 0;
            }
            let allowed = model.admits(cost);
            let (wait, retry_after) = match allowed {
                true => (model.wait(cost), 0),
                false => (0, model.retry_after(cost)),
            };
            if allowed {
                model.take(cost);
            } else {
                settle = None;
            }
            if let Some(actual) = settle {
                model.give_back(cost.saturating_sub(actual));
                model.charge(actual.saturating_sub(cost));
            }
            Call {
                at,
                cost,
                settle,
                allowed,
                wait,
                retry_after,
                remaining: model.remaining(),
                next: model.retry_after(1),
            }
        });
        sequences.push(Sequence {
            calls: calls.collect(),
            name: format!("{algo}-{index}"),
            limit: limit.to_string(),
            max_debt,
        });
    }
    sequences
}

/// The sequences of the file.
fn stored() -> Vec<Sequence> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/settling.jsonl");
    if env::var_os("WRITE_SEQUENCES").is_some() {
        let lines = sequences()
            .iter()
            .map(|sequence| serde_json::to_string(sequence).unwrap() + "\n")
            .collect::<String>();
        fs::write(&path, lines).unwrap();
    }
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Makes all calls. Times may be later by less than `resolution`.
fn replay(config: impl Fn(ManualClock) -> Config, resolution: Duration) {
    for sequence in stored() {
        let clock = ManualClock::new();
        let limit: Limit = sequence.limit.parse().unwrap();
        let mut throttle = Throttle::new(&sequence.name, limit).with_config(config(clock.clone()));
        if let Some(max_debt) = sequence.max_debt {
            throttle = throttle.max_debt(max_debt);
        }
        for (step, call) in sequence.calls.iter().enumerate() {
            let step = format!("{} step {step}: {call:?}", sequence.name);
            clock.set(Duration::from_nanos(call.at));
            let costing = throttle.cost(call.cost);
            let is_late = |got: Duration, expected: u64| {
                let late = got.checked_sub(Duration::from_nanos(expected));
                assert!(
                    late.is_some_and(|late| late < resolution),
                    "{step}: {got:?}"
                );
            };
            let decided = |decision: Decision| {
                assert_eq!(decision.allowed, call.allowed, "{step}: {decision:?}");
                is_late(decision.delay, call.wait);
                is_late(decision.retry_after, call.retry_after);
            };
            match call.settle {
                Some(actual) => {
                    decided(costing.peek("k").unwrap());
                    costing.acquire("k").unwrap().settle(actual).unwrap();
                }
                None => decided(costing.check("k").unwrap()),
            }
            let after = throttle.peek("k").unwrap();
            assert_eq!(after.remaining, call.remaining, "{step}: {after:?}");
            is_late(after.retry_after, call.next);
        }
    }
}

#[test]
fn the_sequences_are_what_the_model_decides() {
    assert_eq!(stored(), sequences());
}

#[test]
fn memory_decides_every_sequence_exactly() {
    let config = |clock| MemoryHandler::builder().clock(clock).build().into();
    replay(config, Duration::from_nanos(1));
}

#[test]
fn redis_decides_every_sequence_exactly() {
    let server = Server::start();
    let config = |clock| {
        let redis = server.builder().clock(clock);
        redis.build().unwrap().into()
    };
    replay(config, Duration::from_micros(1));
    server.assert_all_expire();
}
