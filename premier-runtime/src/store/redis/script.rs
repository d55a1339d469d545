//! The Lua scripts: their arguments and their replies.
//!
//! A script decides atomically, by the server's clock, and returns the state it found. The decision
//! is computed from this state by the functions that also decide in memory. Lua numbers are doubles,
//! so scripts only add and compare. All products are computed here in `u128` and passed as arguments,
//! which keeps decisions exact over the whole range of limits.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, Value};

use super::check::{Check, KeyRequest};
use super::few::Few;
use super::micros::{MicroScale, round_up_to_micros, whole_micros};
use crate::algorithms::{self, Effect, OwingWindow, Plan, Rule, State, WindowState};
use crate::limit::algo::Algo;
use crate::limit::decision::Decision;
use crate::store::request::Operation;

/// A script, and its SHA-1 for `EVALSHA`.
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
static FIXED_WINDOW: LazyLock<Script> = script!("number", "windows", "fixed_window", "single");
static SLIDING_WINDOW: LazyLock<Script> = script!("number", "windows", "sliding_window", "single");
static SLIDING_LOG: LazyLock<Script> = script!("number", "sliding_log", "single");
pub(super) static PROBE: LazyLock<Script> = script!("number", "windows", "fixed_window", "probe");
static GROUP: LazyLock<Script> = script!(
    "number",
    "tat",
    "windows",
    "fixed_window",
    "sliding_window",
    "sliding_log",
    "group"
);

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }
}

/// The script for a call.
pub(super) fn script(check: &Check) -> &'static Script {
    let mut plans = check.limits();
    match (plans.next(), plans.next()) {
        (Some((plan, _)), None) => match plan.limit().algo() {
            Algo::FixedWindow => &FIXED_WINDOW,
            Algo::SlidingWindow => &SLIDING_WINDOW,
            Algo::SlidingLog => &SLIDING_LOG,
            Algo::LeakyBucket | Algo::TokenBucket => &TAT,
        },
        _ => &GROUP,
    }
}

/// Appends the keys and the arguments of a call to a command. All its requests have the operation of the
/// first; several requests are all [`Operation::Take`].
pub(super) fn write(check: &Check, command: &mut Cmd) {
    let operation = check.requests.first().map(|request| request.operation);
    let name = match operation {
        Some(Operation::Take(_) | Operation::Reserve { .. }) => "take",
        Some(Operation::Peek(_)) | None => "peek",
        Some(Operation::Reset) => "reset",
        Some(Operation::Charge { .. }) => "charge",
        Some(Operation::Refund(_)) => "refund",
        Some(Operation::Release(..)) => "release",
    };
    command.arg(check.keys.len()).arg(&*check.keys).arg(name);
    command.arg(check.now.map(|now| now.to_string()).unwrap_or_default());
    let mut arguments = Vec::with_capacity(16);
    for request in check.requests.iter() {
        for (index, plan) in request.plans.iter().enumerate() {
            push_arguments(&mut arguments, plan, request.operation, index);
        }
    }
    if let Some(Operation::Release(slot, _)) = operation {
        arguments.push((slot.since / 1_000).to_string());
    }
    command.arg(arguments);
}

/// Computes the decisions about a call, one for each request, from the script's reply.
pub(super) fn read(check: &Check, reply: Value) -> Result<Few<Decision>, RedisError> {
    let reader = Vec::<String>::from_redis_value(reply)?;
    let mut reader = ReplyReader::new(&reader);
    let now = reader.number::<u64>()?.saturating_mul(1_000);
    let mut replies = Vec::with_capacity(check.keys.len());
    for (plan, _) in check.limits() {
        replies.push(LimitReply::read(&mut reader, plan, now)?);
    }
    let allowed = replies.iter().all(|reply| reply.allowed);
    let mut replies = replies.into_iter();
    let decide = |request: &KeyRequest| {
        let decisions = request
            .plans
            .iter()
            .zip(&mut replies)
            .map(|(plan, reply)| reply.decide(plan, now, request.operation, allowed));
        finish(decisions, now)
    };
    Ok(check.requests.iter().map(decide).collect())
}

/// Combines the decisions of several limits at `now`.
pub(super) fn finish(decisions: impl Iterator<Item = Decision>, now: u64) -> Decision {
    round_up_to_micros(algorithms::combine(decisions)).all_taken_at(now)
}

/// Appends the arguments of the limit at `index`.
fn push_arguments(arguments: &mut Vec<String>, plan: &Plan, operation: Operation, index: usize) {
    let cost = match operation {
        Operation::Take(cost) | Operation::Reserve { cost, .. } | Operation::Peek(cost) => cost,
        // Waiters may owe a bucket more than its capacity.
        Operation::Charge { units, .. } => units,
        Operation::Refund(units) | Operation::Release(_, units) if plan.is_bucket() => units,
        Operation::Refund(units) | Operation::Release(_, units) => units.min(plan.capacity()),
        Operation::Reset => 0,
    };
    let quota = plan.limit().quota();
    let name = plan.limit().algo().as_str();
    match plan.limit().algo() {
        Algo::SlidingLog => {
            let period = plan.period().div_ceil(1_000);
            arguments.push(name.into());
            arguments.extend([period, quota, cost].map(|number| number.to_string()));
        }
        Algo::FixedWindow | Algo::SlidingWindow => {
            let (micros, nanos) = (plan.period() / 1_000, plan.period() % 1_000);
            arguments.push(name.into());
            arguments.extend([micros, nanos, quota, cost].map(|number| number.to_string()));
        }
        Algo::LeakyBucket | Algo::TokenBucket => {
            let scale = MicroScale::of(plan);
            arguments.extend(["tat".into(), scale.den().to_string()]);
            let [allowance, full, charge] = scale.times(plan, operation, cost);
            for (whole, rest) in [allowance, full, charge, charge] {
                arguments.extend([whole.to_string(), rest.to_string()]);
            }
            let (end, until) = match operation {
                Operation::Release(slot, _) => (slot.end(index), slot.until(index) / 1_000),
                _ => (0, 0),
            };
            let (whole, rest) = scale.split(end);
            arguments.extend([whole.to_string(), rest.to_string(), until.to_string()]);
            return;
        }
    }
    if let Operation::Charge { max_debt, .. } = operation {
        let most = algorithms::most_units(quota, plan.max_debt(max_debt));
        arguments.push(most.to_string());
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
        more_after: u64,
        retry_after: u64,
        reset_after: u64,
    },
}

impl LimitReply {
    fn read(reader: &mut ReplyReader<'_>, plan: &Plan, now: u64) -> Result<Self, RedisError> {
        let allowed = reader.next()? == "1";
        let state = match plan.rule() {
            Rule::Window(window) => {
                let slides = window.slides();
                let (micros, nanos): (u64, u64) = (reader.number()?, reader.number()?);
                let window = WindowState {
                    start: now.saturating_sub(micros * 1_000 + nanos),
                    cur: reader.number()?,
                    prev: if slides { reader.number()? } else { 0 },
                    slides,
                };
                State::of_owing_window(OwingWindow {
                    window,
                    debt: reader.number()?,
                    quota: reader.number()?,
                })
            }
            Rule::Log(_) => {
                let state = ReplyState::Log {
                    used: reader.number()?,
                    retry_after: reader.number()?,
                    reset_after: reader.number()?,
                    more_after: reader.number()?,
                };
                return Ok(Self { allowed, state });
            }
            Rule::Gcra(_) => {
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
        let (cost, effect) = effect(operation, all);
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
                more_after,
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
                    more_after: Duration::from_micros(more_after),
                    retry_after: Duration::from_micros(retry_after),
                    reset_after: Duration::from_micros(reset_after),
                    ..plan.decision()
                }
            }
        }
    }
}

/// What an operation does to a state. `all` says whether all limits of the call admit it.
pub(super) fn effect(operation: Operation, all: bool) -> (u64, Effect) {
    match operation {
        Operation::Take(cost) if all => (cost, Effect::Take),
        Operation::Take(cost) | Operation::Peek(cost) => (cost, Effect::Look),
        Operation::Reserve { cost, longest } => {
            let effect = Effect::Reserve(whole_micros(longest));
            (cost, if all { effect } else { effect.without_change() })
        }
        _ => (0, Effect::Look),
    }
}

/// Reads the elements of a reply one by one.
pub(super) struct ReplyReader<'a>(std::slice::Iter<'a, String>);

impl<'a> ReplyReader<'a> {
    pub(super) fn new(reply: &'a [String]) -> Self {
        Self(reply.iter())
    }

    /// Reads the decision about a call of one sliding log; `None` if it was not decided.
    pub(super) fn log_decision(
        &mut self,
        check: &Check,
        now: u64,
    ) -> Result<Option<Decision>, RedisError> {
        let Some((plan, operation)) = check.limits().next() else {
            return Ok(None);
        };
        if self.0.as_slice().first().is_some_and(String::is_empty) {
            self.0.nth(4);
            return Ok(None);
        }
        let reply = LimitReply::read(self, plan, now)?;
        let allowed = reply.allowed;
        let decision = reply.decide(plan, now, operation, allowed);
        Ok(Some(finish([decision].into_iter(), now)))
    }

    fn next(&mut self) -> Result<&str, RedisError> {
        self.0
            .next()
            .map(String::as_str)
            .ok_or_else(malformed_reply)
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self) -> Result<N, RedisError> {
        self.next()?.parse().map_err(|_| malformed_reply())
    }
}

pub(super) fn malformed_reply() -> RedisError {
    RedisError::from((
        redis::ErrorKind::UnexpectedReturnType,
        "the script's reply could not be read",
    ))
}
