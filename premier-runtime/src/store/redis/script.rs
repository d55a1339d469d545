//! The Lua scripts: their arguments and their replies.
//!
//! A script decides atomically, by the server's clock, and returns the state it found. The decision
//! is computed from this state by the functions that also decide in memory. Lua numbers are doubles,
//! so scripts only add and compare. All products are computed here in `u128` and passed as arguments,
//! which keeps decisions exact over the whole range of limits.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Value};

use super::keys::redis_keys;
use crate::algorithms::{self, Effect, Plan, State, WindowState};
use crate::clock::after;
use crate::limit::algo::Algo;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

/// A script and its SHA-1 for `EVALSHA`.
pub(super) struct Script {
    pub(super) code: &'static str,
    pub(super) hash: String,
}

macro_rules! script {
    ($($part:literal),*) => {
        LazyLock::new(|| Script::new(concat!($(include_str!(concat!("scripts/", $part, ".lua"))),*)))
    };
}

static TAT: LazyLock<Script> = script!("number", "tat", "single");
static FIXED_WINDOW: LazyLock<Script> = script!("number", "fixed_window", "single");
static SLIDING_WINDOW: LazyLock<Script> = script!("number", "sliding_window", "single");
static SLIDING_LOG: LazyLock<Script> = script!("number", "sliding_log", "single");
pub(super) static PROBE: LazyLock<Script> = script!("number", "fixed_window", "probe");
static GROUP: LazyLock<Script> = script!(
    "number",
    "tat",
    "fixed_window",
    "sliding_window",
    "sliding_log",
    "group"
);

impl Script {
    fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }
}

/// A script with its arguments.
pub(super) struct Call {
    pub(super) script: &'static Script,
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
    /// The limits of each request and what is asked of them.
    asked: Vec<(Box<[Plan]>, Operation)>,
}

impl Call {
    /// Creates the call for requests, which the script decides as one. All have the operation of the first;
    /// several requests are all [`Operation::Take`]. `now` is the time of a user's clock in microseconds, or
    /// `None` to decide by the server's clock. `hash_keys` is that of [`redis_keys`].
    pub(super) fn new(requests: &[Request<'_>], now: Option<u64>, hash_keys: bool) -> Self {
        let operation = requests.first().map(|request| request.operation);
        let name = match operation {
            Some(Operation::Take(_) | Operation::Reserve { .. }) => "take",
            Some(Operation::Peek(_)) | None => "peek",
            Some(Operation::Reset) => "reset",
            Some(Operation::Refund(_)) => "refund",
            Some(Operation::Release(..)) => "release",
        };
        let mut plans = requests.iter().flat_map(|request| request.plans);
        let script = match (plans.next(), plans.next()) {
            (Some(plan), None) => match plan.limit().algo() {
                Algo::FixedWindow => &*FIXED_WINDOW,
                Algo::SlidingWindow => &*SLIDING_WINDOW,
                Algo::SlidingLog => &*SLIDING_LOG,
                Algo::LeakyBucket | Algo::TokenBucket => &*TAT,
            },
            _ => &*GROUP,
        };
        let mut keys = Vec::with_capacity(requests.len());
        let mut arguments = Vec::with_capacity(16);
        arguments.push(name.to_owned());
        arguments.push(now.map(|now| now.to_string()).unwrap_or_default());
        for request in requests {
            keys.extend(redis_keys(&request.key, request.plans, hash_keys));
            for (index, plan) in request.plans.iter().enumerate() {
                push_arguments(&mut arguments, plan, request.operation, index);
            }
        }
        if let Some(Operation::Release(slot, _)) = operation {
            arguments.push((slot.since / 1_000).to_string());
        }
        Self {
            script,
            keys,
            arguments,
            asked: requests
                .iter()
                .map(|request| (request.plans.into(), request.operation))
                .collect(),
        }
    }

    /// Computes the decisions, one for each request, from the script's reply.
    pub(super) fn read(&self, reply: Value) -> Result<Vec<Decision>, RedisError> {
        let reader = Vec::<String>::from_redis_value(reply)?;
        let mut reader = ReplyReader(reader.iter());
        let now = reader.number::<u64>()?.saturating_mul(1_000);
        let mut replies = Vec::with_capacity(self.asked.len());
        for plan in self.asked.iter().flat_map(|(plans, _)| plans) {
            replies.push(LimitReply::read(&mut reader, plan, now)?);
        }
        let allowed = replies.iter().all(|reply| reply.allowed);
        let mut replies = replies.into_iter();
        let decide = |(plans, operation): &(Box<[Plan]>, Operation)| {
            let decisions = plans
                .iter()
                .zip(&mut replies)
                .map(|(plan, reply)| reply.decide(plan, now, *operation, allowed));
            round_up_to_micros(algorithms::combine(decisions)).all_taken_at(now)
        };
        Ok(self.asked.iter().map(decide).collect())
    }
}

/// Appends the arguments of the limit at `index`.
fn push_arguments(arguments: &mut Vec<String>, plan: &Plan, operation: Operation, index: usize) {
    let cost = match operation {
        Operation::Take(cost) | Operation::Reserve { cost, .. } | Operation::Peek(cost) => cost,
        // Those who wait may owe a bucket more than its capacity.
        Operation::Refund(units) | Operation::Release(_, units) if plan.is_bucket() => units,
        Operation::Refund(units) | Operation::Release(_, units) => units.min(plan.capacity()),
        Operation::Reset => 0,
    };
    let period = plan.period().div_ceil(1_000).to_string();
    let quota = plan.limit().quota().to_string();
    match plan.limit().algo() {
        Algo::FixedWindow => {
            arguments.extend(["fixed_window".into(), period, quota, cost.to_string()]);
        }
        Algo::SlidingLog => {
            arguments.extend(["sliding_log".into(), period, quota, cost.to_string()]);
        }
        Algo::SlidingWindow => arguments.extend([
            "sliding_window".into(),
            (plan.period() / 1_000).to_string(),
            (plan.period() % 1_000).to_string(),
            quota,
            cost.to_string(),
        ]),
        Algo::LeakyBucket | Algo::TokenBucket => {
            let scale = MicroScale::of(plan);
            arguments.extend(["tat".into(), scale.den.to_string()]);
            let (full, charge) = (plan.ticks(plan.capacity()), plan.ticks(cost));
            let allowance = match operation {
                Operation::Reserve { longest, .. } => {
                    let at_once = if plan.is_queue() { charge } else { full };
                    at_once + scale.join(u128::from(whole_micros(longest) / 1_000), 0)
                }
                _ => full,
            };
            for ticks in [allowance, full, charge, charge] {
                let (whole, rest) = scale.split(ticks);
                arguments.extend([whole.to_string(), rest.to_string()]);
            }
            let (end, until) = match operation {
                Operation::Release(slot, _) => (slot.end(index), slot.until(index) / 1_000),
                _ => (0, 0),
            };
            let (whole, rest) = scale.split(end);
            arguments.extend([whole.to_string(), rest.to_string(), until.to_string()]);
        }
    }
}

/// Converts ticks of a plan (1 / `plan.den()` nanoseconds) to whole microseconds and a remainder. The
/// remainder is counted in the largest unit that divides every multiple of the emission interval.
struct MicroScale {
    /// Ticks per microsecond.
    micro: u128,
    /// Ticks per unit of the remainder.
    unit: u128,
    /// Units of the remainder per microsecond.
    den: u128,
}

impl MicroScale {
    fn of(plan: &Plan) -> Self {
        let micro = u128::from(plan.den()) * 1_000;
        // gcd(interval, den * 1,000) is gcd(interval, 1,000), because interval and den are coprime.
        let unit = u128::from(greatest_common_divisor(plan.interval() % 1_000, 1_000));
        Self {
            micro,
            unit,
            den: micro / unit,
        }
    }

    fn split(&self, ticks: u128) -> (u128, u128) {
        (ticks / self.micro, ticks % self.micro / self.unit)
    }

    fn join(&self, whole: u128, rest: u128) -> u128 {
        whole
            .saturating_mul(self.micro)
            .saturating_add(rest.saturating_mul(self.unit))
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The reply of a script for one limit.
struct LimitReply {
    allowed: bool,
    state: ReplyState,
}

enum ReplyState {
    /// The state before the operation.
    Rebuilt(State),
    /// The result for a sliding log, whose state is too large for a reply. Times are in microseconds.
    Log {
        used: u64,
        retry_after: u64,
        reset_after: u64,
    },
}

impl LimitReply {
    fn read(reader: &mut ReplyReader<'_>, plan: &Plan, now: u64) -> Result<Self, RedisError> {
        let allowed = reader.next()? == "1";
        let state = match plan.limit().algo() {
            Algo::FixedWindow => {
                let elapsed: u64 = reader.number()?;
                State::of_window(WindowState {
                    start: now.saturating_sub(elapsed * 1_000),
                    cur: reader.number()?,
                    prev: 0,
                    slides: false,
                })
            }
            Algo::SlidingWindow => {
                let (micros, nanos): (u64, u64) = (reader.number()?, reader.number()?);
                let start = now.saturating_sub(micros * 1_000 + nanos);
                State::of_window(WindowState {
                    start,
                    cur: reader.number()?,
                    prev: reader.number()?,
                    slides: true,
                })
            }
            Algo::SlidingLog => {
                let (used, retry_after, reset_after) =
                    (reader.number()?, reader.number()?, reader.number()?);
                return Ok(Self {
                    allowed,
                    state: ReplyState::Log {
                        used,
                        retry_after,
                        reset_after,
                    },
                });
            }
            Algo::LeakyBucket | Algo::TokenBucket => {
                let ahead = MicroScale::of(plan).join(reader.number()?, reader.number()?);
                State::bucket(plan, now, ahead)
            }
        };
        Ok(Self {
            allowed,
            state: ReplyState::Rebuilt(state),
        })
    }

    /// Computes the decision about `operation`. `all` says whether all limits of the request admit it.
    fn decide(self, plan: &Plan, now: u64, operation: Operation, all: bool) -> Decision {
        let (cost, effect) = match operation {
            Operation::Take(cost) if all => (cost, Effect::Take),
            Operation::Take(cost) | Operation::Peek(cost) => (cost, Effect::Look),
            Operation::Reserve { cost, longest } => {
                let effect = Effect::Reserve(whole_micros(longest));
                (cost, if all { effect } else { effect.without_change() })
            }
            _ => (0, Effect::Look),
        };
        match self.state {
            ReplyState::Rebuilt(mut state) => {
                let decision: Decision = state.decide(plan, now, cost, effect);
                debug_assert_eq!(decision.allowed, self.allowed, "{plan:?} {state:?}");
                Decision {
                    allowed: self.allowed,
                    ..decision
                }
            }
            ReplyState::Log {
                used,
                retry_after,
                reset_after,
            } => {
                let taken = if effect.takes() { cost } else { 0 };
                let reset_after = if taken > 0 {
                    plan.period().div_ceil(1_000)
                } else {
                    reset_after
                };
                Decision {
                    allowed: self.allowed,
                    remaining: plan.limit().quota().saturating_sub(used + taken),
                    retry_after: Duration::from_micros(retry_after),
                    reset_after: Duration::from_micros(reset_after),
                    ..plan.decision()
                }
            }
        }
    }
}

/// How long a caller may wait, in nanoseconds of whole microseconds, because the server's clock counts those.
fn whole_micros(longest: Duration) -> u64 {
    after(0, longest) / 1_000 * 1_000
}

/// Rounds the times of a decision up to whole microseconds, because the server's clock counts those.
fn round_up_to_micros(decision: Decision) -> Decision {
    let up = |duration: Duration| {
        let beyond = duration.subsec_nanos() % 1_000;
        if beyond == 0 {
            duration
        } else {
            duration.saturating_add(Duration::from_nanos(u64::from(1_000 - beyond)))
        }
    };
    Decision {
        retry_after: up(decision.retry_after),
        reset_after: up(decision.reset_after),
        delay: up(decision.delay),
        ..decision
    }
}

/// Reads the elements of a reply one by one.
struct ReplyReader<'a>(std::slice::Iter<'a, String>);

impl ReplyReader<'_> {
    fn next(&mut self) -> Result<&str, RedisError> {
        self.0
            .next()
            .map(String::as_str)
            .ok_or_else(malformed_reply)
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, RedisError> {
        self.next()?.parse().map_err(|_| malformed_reply())
    }
}

fn malformed_reply() -> RedisError {
    RedisError::from((
        redis::ErrorKind::UnexpectedReturnType,
        "the script's reply could not be read",
    ))
}
