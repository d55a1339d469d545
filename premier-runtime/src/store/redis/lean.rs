//! The scripts that take units for many calls at once, by numbers that Lua holds exactly.
//!
//! Such a script applies calls to their keys in their order, and returns the time and the state that each key had
//! before. The decision about each call is computed here, by the functions that also decide in memory. Calls of one
//! key are merged: the script loads and stores its state once.
//!
//! A sliding log is too long for a reply. Its calls come together and are decided one after the other by the
//! script that knows all operations.
//!
//! The scripts of `script.rs` decide calls of limits with larger numbers, of states that other limits have left with
//! such numbers, and with other operations, one call at a time.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use ahash::AHasher;
use redis::{Cmd, FromRedisValue, RedisError, Value};

use super::check::{Check, KeyRequest};
use super::few::Few;
use super::kind::Kind;
use super::micros::MicroScale;
use super::script::{ReplyReader, effect, finish, malformed_reply};
use crate::algorithms::{Plan, Rule, State, WindowState};
use crate::limit::algo::Algo;
use crate::limit::decision::Decision;
use crate::store::request::Operation;

/// Calls that one script decides.
pub(super) struct Batch<'a> {
    kind: Kind,
    /// The time of the clock set by the user, which is equal for all calls.
    now: Option<u64>,
    limits: Vec<LimitArguments<'a>>,
    cells: Vec<Cell<'a>>,
    /// Hashed without a secret, because a batch has few keys.
    by_key: HashMap<&'a str, usize, BuildHasherDefault<AHasher>>,
    /// In the order of arrival; `None` for a call that the script does not decide.
    calls: Vec<Option<Call<'a>>>,
}

/// The decisions about a call.
pub(super) struct Answered {
    pub(super) decisions: Few<Decision>,
    /// The state by which a call of one limit was denied, or the state after units were leased, and the time of the
    /// server.
    pub(super) state: Option<(State, u64)>,
    /// How many units were leased.
    pub(super) fetched: u64,
}

/// A key, and the limit of all calls of the key.
struct Cell<'a> {
    key: &'a str,
    plan: &'a Plan,
    /// For [`Kind`]s of one limit: the arguments of a limit, and how many equal calls have them.
    groups: Vec<(usize, u64)>,
}

struct Call<'a> {
    check: &'a Check,
    /// For each limit, its cell and its arguments.
    limits: Few<(usize, usize)>,
}

/// The arguments of a limit, and its operation.
struct LimitArguments<'a> {
    plan: &'a Plan,
    operation: Operation,
    name: &'static str,
    numbers: Vec<u64>,
    /// The index of the first argument in Lua.
    index: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            now: None,
            limits: Vec::new(),
            cells: Vec::new(),
            by_key: HashMap::default(),
            calls: Vec::new(),
        }
    }

    /// Leaves a call out.
    pub(super) fn skip(&mut self) {
        self.calls.push(None);
    }

    /// Adds a call, unless it cannot be decided together with the others because its clock shows another time
    /// or its key is that of another call with another limit.
    pub(super) fn push(&mut self, check: &'a Check) {
        if self.is_empty() {
            self.now = check.now;
        }
        let differs = |(key, (plan, _)): (&String, (&Plan, Operation))| {
            let cell = self.by_key.get(key.as_str());
            cell.is_some_and(|cell| self.cells[*cell].plan != plan)
        };
        if check.now != self.now || check.keys.iter().zip(check.limits()).any(differs) {
            self.skip();
            return;
        }
        let places = check.keys.iter().zip(check.limits());
        let limits: Few<_> = places
            .map(|(key, (plan, operation))| self.place(key, plan, operation))
            .collect();
        if let Few::One((cell, limit)) = &limits {
            let groups = &mut self.cells[*cell].groups;
            let calls = check.fetch.map_or(1, |fetch| fetch.units);
            match groups.last_mut() {
                Some((last, count)) if last == limit => *count += calls,
                _ => groups.push((*limit, calls)),
            }
        }
        self.calls.push(Some(Call { check, limits }));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the cell of a key and the place of the arguments of its limit.
    fn place(&mut self, key: &'a str, plan: &'a Plan, operation: Operation) -> (usize, usize) {
        let cells = &mut self.cells;
        let cell = *self.by_key.entry(key).or_insert_with(|| {
            cells.push(Cell {
                key,
                plan,
                groups: Vec::new(),
            });
            cells.len() - 1
        });
        // From the end, because calls that come together often have one limit.
        let known = self
            .limits
            .iter()
            .rposition(|limit| limit.operation == operation && limit.plan == plan);
        let limit = known.unwrap_or_else(|| {
            let index = self.next_index();
            self.limits
                .push(LimitArguments::new(plan, operation, index));
            self.limits.len() - 1
        });
        (cell, limit)
    }

    /// The index in Lua of the first argument after the limits. Those before them are the time and this
    /// index.
    fn next_index(&self) -> usize {
        self.limits
            .last()
            .map_or(3, |last| last.index + 1 + last.numbers.len())
    }

    /// Appends the keys and the arguments to a command.
    pub(super) fn write(&self, command: &mut Cmd) {
        command.arg(self.cells.len());
        for cell in &self.cells {
            command.arg(cell.key);
        }
        if self.kind == Kind::SlidingLog {
            command.arg("take");
        }
        match self.now {
            Some(now) => command.arg(now),
            None => command.arg(""),
        };
        if self.kind == Kind::SlidingLog {
            for call in self.calls.iter().flatten() {
                for (cell, limit) in call.limits.iter() {
                    command.arg(cell + 1).arg(&self.limits[*limit].numbers);
                }
            }
            return;
        }
        command.arg(self.next_index());
        for limit in &self.limits {
            command.arg(limit.name);
            for number in &limit.numbers {
                command.arg(number);
            }
        }
        if self.kind != Kind::Group {
            for cell in &self.cells {
                command.arg(cell.groups.len());
                for (limit, count) in &cell.groups {
                    command.arg(self.limits[*limit].index).arg(count);
                }
            }
            return;
        }
        for call in self.calls.iter().flatten() {
            command.arg(call.limits.len());
            for (cell, limit) in call.limits.iter() {
                command.arg(cell + 1).arg(self.limits[*limit].index);
            }
        }
    }

    /// Computes the decisions about each call from the script's reply; `None` for a call that was left out, or
    /// that the script has left to those of `script.rs`.
    pub(super) fn read(&self, reply: Value) -> Result<Vec<Option<Answered>>, RedisError> {
        if self.kind == Kind::SlidingLog {
            return self.read_logs(reply);
        }
        let reply = Vec::<i64>::from_redis_value(reply)?;
        let number = |index: usize| reply.get(index).copied().ok_or_else(malformed_reply);
        let now = u64::try_from(number(0)?).map_err(|_| malformed_reply())?;
        let now = now.saturating_mul(1_000);
        let mut states = Vec::with_capacity(self.cells.len());
        for (index, cell) in self.cells.iter().enumerate() {
            let first = 3 * index + 1;
            let numbers = [number(first)?, number(first + 1)?, number(first + 2)?];
            states.push(cell.state(now, numbers));
        }
        let decide = |call: &Option<Call<'_>>| call.as_ref()?.decide(&mut states, now);
        Ok(self.calls.iter().map(decide).collect())
    }
}

impl Batch<'_> {
    fn read_logs(&self, reply: Value) -> Result<Vec<Option<Answered>>, RedisError> {
        let reply = Vec::<String>::from_redis_value(reply)?;
        let mut reader = ReplyReader::new(&reply);
        let now = reader.number::<u64>()?.saturating_mul(1_000);
        let mut answers = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            answers.push(match call {
                Some(call) => reader
                    .log_decision(call.check, now)?
                    .map(|decision| Answered {
                        decisions: Few::One(decision),
                        state: None,
                        fetched: 0,
                    }),
                None => None,
            });
        }
        Ok(answers)
    }
}

impl Cell<'_> {
    /// The state at `now`, of the numbers that the script found.
    fn state(&self, now: u64, numbers: [i64; 3]) -> Option<State> {
        let [a, b, c] = numbers.map(u64::try_from);
        let (Ok(a), Ok(b), Ok(c)) = (a, b, c) else {
            return None;
        };
        Some(match self.plan.rule() {
            Rule::Window(window) => State::of_window(WindowState {
                start: now.saturating_sub(a.saturating_mul(1_000)),
                cur: b,
                prev: c,
                slides: window.slides(),
            }),
            Rule::Gcra(_) => {
                let ahead = MicroScale::of(self.plan).join(a.into(), b.into());
                State::bucket(self.plan, now, ahead)
            }
            // Logs have a script of their own, which does not return the state.
            Rule::Log(_) => return None,
        })
    }
}

impl Call<'_> {
    fn decide(&self, states: &mut [Option<State>], now: u64) -> Option<Answered> {
        if let Some(fetch) = self.check.fetch {
            return self.fetch(states, fetch.units, now);
        }
        let mut all = true;
        for ((cell, _), (plan, operation)) in self.limits.iter().zip(self.check.limits()) {
            let state = states[*cell].as_ref()?;
            if self.limits.len() > 1 {
                let (cost, effect) = effect(operation, false);
                all = all && state.look(plan, now, cost, effect).allowed;
            }
        }
        let mut cells = self.limits.iter();
        let mut decide = |request: &KeyRequest| {
            let (cost, effect) = effect(request.operation, all);
            let decisions = request
                .plans
                .iter()
                .zip(&mut cells)
                .map(|(plan, (cell, _))| {
                    let state = states[*cell].as_mut();
                    state.map_or_else(Decision::default, |state| {
                        state.decide(plan, now, cost, effect)
                    })
                });
            finish(decisions, now)
        };
        let decisions: Few<_> = self.check.requests.iter().map(&mut decide).collect();
        let denied_by = match (&self.limits, &*decisions) {
            (Few::One((cell, _)), [decision]) if !decision.allowed => states[*cell].clone(),
            _ => None,
        };
        Some(Answered {
            decisions,
            state: denied_by.map(|state| (state, now)),
            fetched: 0,
        })
    }
}

impl Call<'_> {
    /// Leases as many units as there are.
    fn fetch(&self, states: &mut [Option<State>], most: u64, now: u64) -> Option<Answered> {
        let (cell, _) = self.limits.first()?;
        let (plan, _) = self.check.limits().next()?;
        let state = states[*cell].as_mut()?;
        let first = state.peek(plan, now, 1);
        // None if one is denied.
        let fetched = most.min(first.remaining);
        let decision = match fetched {
            0 => first,
            units => state.take(plan, now, units),
        };
        Some(Answered {
            decisions: Few::One(finish([decision].into_iter(), now)),
            state: Some((state.clone(), now)),
            fetched,
        })
    }
}

impl<'a> LimitArguments<'a> {
    fn new(plan: &'a Plan, operation: Operation, index: usize) -> Self {
        let (cost, _) = effect(operation, true);
        let period = plan.period().div_ceil(1_000);
        let (name, numbers) = match plan.limit().algo() {
            Algo::FixedWindow => ("fixed_window", vec![period, plan.limit().quota(), cost]),
            Algo::SlidingWindow => ("sliding_window", vec![period, plan.limit().quota(), cost]),
            Algo::SlidingLog => ("sliding_log", vec![period, plan.limit().quota(), cost]),
            Algo::LeakyBucket | Algo::TokenBucket => {
                let scale = MicroScale::of(plan);
                let mut numbers = vec![scale.den() as u64];
                let [allowance, full, charge] = scale.times(plan, operation, cost);
                for (whole, rest) in [allowance, full, charge] {
                    // No state is as far ahead as the longest wait.
                    numbers.extend([whole.min(LONGEST.into()), rest].map(|n| n as u64));
                }
                ("tat", numbers)
            }
        };
        Self {
            plan,
            operation,
            name,
            numbers,
            index,
        }
    }
}

/// More microseconds than a state of these scripts can be ahead.
const LONGEST: u64 = 1 << 52;
