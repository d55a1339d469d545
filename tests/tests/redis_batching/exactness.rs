//! Callers get the decisions that the pure algorithm makes in the order in which Redis ran the calls.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use premier::algorithms::{Plan, State};
use premier::{Decision, Operation};
use premier_tests::batching::{Call, Case, LONGEST_WAIT, cases};
use premier_tests::redis::Server;

use super::monitor::{Monitor, ScriptCall};

/// How many calls a process makes at once.
const CALLS: usize = 128;

struct Caller {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start(server: &Server, seed: usize, deny_locally_ms: u64) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_batching_caller"))
            .args([&server.url(), &(seed * 7_919 + 12_345).to_string()])
            .args([&CALLS.to_string(), &deny_locally_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn begin(&mut self, command: &str, micros: u64) {
        let input = self.process.stdin.as_mut().unwrap();
        writeln!(input, "{command} {micros}").unwrap();
    }

    /// The lines of a wave.
    fn lines(&mut self) -> Vec<String> {
        let lines = self.output.by_ref().lines().map(Result::unwrap);
        let lines: Vec<_> = lines.take_while(|line| line != ".").collect();
        assert_eq!(lines.len(), CALLS, "a process has ended");
        lines
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The decisions that the callers got, and the script calls that the server ran.
fn run(processes: usize, deny_locally_ms: u64, command: &str) -> (Vec<String>, Vec<ScriptCall>) {
    let server = Server::start();
    let monitor = Monitor::start(&server);
    let mut callers: Vec<_> = (0..processes)
        .map(|seed| Caller::start(&server, seed, deny_locally_ms))
        .collect();
    let mut returned = Vec::new();
    let mut now = 1_000_000;
    for wave in 0..8 {
        for caller in &mut callers {
            caller.begin(command, now);
        }
        for caller in &mut callers {
            returned.extend(caller.lines());
        }
        // Every other time it stands still.
        now += wave % 2 * (1_003 + 2_777 * (wave % 5));
    }
    let errors = server.command(&["INFO", "errorstats"]);
    // Such a call would be among those that the server ran, although it was repeated.
    assert!(!errors.contains("NOSCRIPT"), "{errors}");
    server.assert_all_expire();
    (returned, monitor.stop(&server))
}

/// The calls that a script call decides, with their time in nanoseconds.
struct Decoder<'a> {
    cases: &'a [Case],
}

impl Decoder<'_> {
    fn calls(&self, script: &ScriptCall) -> Vec<(u64, Call)> {
        let arguments: Vec<&str> = script.arguments.iter().map(String::as_str).collect();
        let (first, rest) = arguments.split_first().unwrap();
        let Ok(now) = first.parse::<u64>() else {
            let now = rest[0].parse::<u64>().unwrap() * 1_000;
            let calls = self.calls_of_names(&script.keys, first, &rest[1..]);
            return calls.into_iter().map(|call| (now, call)).collect();
        };
        let after_limits = rest[0].parse::<usize>().unwrap();
        let limit = |index: usize| &arguments[index - 1..after_limits - 1];
        let numbers: Vec<usize> = arguments[after_limits - 1..]
            .iter()
            .map(|number| number.parse().unwrap())
            .collect();
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next();
        let mut calls = Vec::new();
        let is_group = script.keys.len() > 1 && self.ends_with_groups(script);
        if is_group {
            while let Some(limits) = next() {
                let pairs: Vec<_> = (0..limits)
                    .map(|_| (next().unwrap(), next().unwrap()))
                    .collect();
                let keys: Vec<_> = pairs
                    .iter()
                    .map(|(key, _)| script.keys[key - 1].as_str())
                    .collect();
                calls.push(self.call(&keys, limit(pairs[0].1)));
            }
        } else {
            for key in &script.keys {
                for _ in 0..next().unwrap() {
                    let (index, count) = (next().unwrap(), next().unwrap());
                    let call = self.call(&[key], limit(index));
                    calls.extend(std::iter::repeat_n(call, count));
                }
            }
            assert_eq!(next(), None);
        }
        calls.into_iter().map(|call| (now * 1_000, call)).collect()
    }

    /// Whether the calls of a lean script have several limits: then its keys are those of groups, or of the
    /// functions that decide as one.
    fn ends_with_groups(&self, script: &ScriptCall) -> bool {
        let asked = self.asked(script.keys[0].as_str());
        self.cases[asked.0].plans.len() > 1 || asked.0 >= 9
    }

    /// The calls of a script that names the operation.
    fn calls_of_names(&self, keys: &[String], name: &str, arguments: &[&str]) -> Vec<Call> {
        if arguments[0].parse::<usize>().is_ok() {
            // Logs: the number of the key, the period, the quota and the cost of each call.
            let calls = arguments.chunks(4).map(|call| {
                let key = &keys[call[0].parse::<usize>().unwrap() - 1];
                self.call(&[key], &["sliding_log", call[1], call[2], call[3]])
            });
            return calls.collect();
        }
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        // Those of the first limit: `tat` has the charge after the allowance and the full debt, as in the
        // lean scripts; a window has its cost at another place.
        let first = match arguments[0] {
            name @ ("fixed_window" | "sliding_window") => {
                vec![name, arguments[1], arguments[3], arguments[4]]
            }
            _ => arguments.to_vec(),
        };
        let mut call = self.call(&keys, &first);
        let (Operation::Take(cost) | Operation::Reserve { cost, .. }) = call.operation else {
            unreachable!()
        };
        match name {
            "take" => {}
            "peek" => call.operation = Operation::Peek(cost),
            "refund" => call.operation = Operation::Refund(cost),
            _ => panic!("{name} was not called"),
        }
        vec![call]
    }

    /// A call that takes from these keys, by the arguments of its first limit.
    fn call(&self, keys: &[&str], limit: &[&str]) -> Call {
        let mut asked = Vec::new();
        let mut rest = keys;
        while let Some(key) = rest.first() {
            let (case, subject) = self.asked(key);
            rest = &rest[self.cases[case].plans.len()..];
            asked.push((case, subject));
        }
        let plan = &self.cases[asked[0].0].plans[0];
        let number = |index: usize| limit[index].parse::<u64>().unwrap();
        let operation = match limit[0] {
            "tat" => {
                let (interval, den) = plan.emission_interval();
                let cost = (number(6) * 1_000 * den).div_ceil(interval);
                match (number(2), number(3)) == (number(4), number(5)) {
                    true => Operation::Take(cost),
                    false => Operation::Reserve {
                        cost,
                        longest: LONGEST_WAIT,
                    },
                }
            }
            _ => Operation::Take(number(3)),
        };
        Call { asked, operation }
    }

    /// The case and the caller's key of a key in Redis: `ks:caseN:algo:subject`, with braces in a group.
    fn asked(&self, key: &str) -> (usize, usize) {
        let text = key.replace(['{', '}'], "");
        let mut parts = text.split(':');
        let case = parts.nth(1).unwrap().strip_prefix("case").unwrap();
        (
            case.parse().unwrap(),
            parts.nth(1).unwrap().parse().unwrap(),
        )
    }
}

/// Every state that each key of a case has had.
type Past = HashMap<(usize, usize), Vec<Vec<State>>>;

/// The states of the keys by the pure algorithms.
struct Replay<'a> {
    cases: &'a [Case],
    states: HashMap<(usize, usize), Vec<State>>,
    past: Past,
}

impl<'a> Replay<'a> {
    fn new(cases: &'a [Case]) -> Self {
        Self {
            cases,
            states: HashMap::new(),
            past: HashMap::new(),
        }
    }

    fn decide(&mut self, call: &Call, now: u64) -> Vec<Decision> {
        let requests = call.requests(self.cases);
        let states = |place: &(usize, usize)| {
            let plans: &[Plan] = &self.cases[place.0].plans;
            vec![State::default(); plans.len()]
        };
        let mut found: Vec<_> = call
            .asked
            .iter()
            .map(|place| self.states.remove(place).unwrap_or_else(|| states(place)))
            .collect();
        let mut all = true;
        if let (Operation::Take(cost), true) = (call.operation, requests.len() > 1) {
            for (request, states) in requests.iter().zip(&mut found) {
                let mut peek = *request;
                peek.operation = Operation::Peek(cost);
                all &= peek.apply(states, now).unwrap().allowed;
            }
        }
        let decisions = requests.iter().zip(&mut found).map(|(request, states)| {
            let mut request = *request;
            if let (Operation::Take(cost), false) = (request.operation, all) {
                request.operation = Operation::Peek(cost);
            }
            request.apply(states, now).unwrap()
        });
        let decisions = decisions.collect();
        for (place, states) in call.asked.iter().zip(found) {
            self.past.entry(*place).or_default().push(states.clone());
            self.states.insert(*place, states);
        }
        decisions
    }

    /// The decisions about a call by each state that its key has had.
    fn looks(&self, call: &Call, now: u64) -> Vec<String> {
        let requests = call.requests(self.cases);
        let (Operation::Take(cost), [request]) = (call.operation, &*requests) else {
            return Vec::new();
        };
        let mut peek = *request;
        peek.operation = Operation::Peek(cost);
        let past = self.past.get(&call.asked[0]).into_iter().flatten();
        past.map(|states| call.line(now, &[peek.apply(&mut states.clone(), now).unwrap()]))
            .collect()
    }
}

/// Removes each replayed line from the lines of the callers, and returns the rest.
fn without_replayed(returned: Vec<String>, replayed: &[String]) -> Vec<String> {
    let mut counts = HashMap::<&str, i64>::new();
    for line in &returned {
        *counts.entry(line).or_default() += 1;
    }
    let mut missing = Vec::new();
    for line in replayed {
        let count = counts.entry(line).or_default();
        *count -= 1;
        if *count < 0 {
            missing.push(line);
        }
    }
    let mut rest: Vec<String> = counts
        .iter()
        .flat_map(|(line, count)| std::iter::repeat_n((*line).to_owned(), (*count).max(0) as usize))
        .collect();
    rest.sort();
    assert!(
        missing.is_empty(),
        "{} decisions reached no caller, as {:#?} where callers got {:#?}",
        missing.len(),
        &missing[..missing.len().min(5)],
        &rest[..rest.len().min(20)]
    );
    rest
}

/// The lines of the decisions of the server, the largest number of calls in one script, and the states.
fn replayed(cases: &[Case], scripts: &[ScriptCall]) -> (Vec<String>, usize, Past) {
    let (decoder, mut replay) = (Decoder { cases }, Replay::new(cases));
    let mut lines = Vec::new();
    let mut together = 0;
    for script in scripts {
        let calls = decoder.calls(script);
        together = together.max(calls.len());
        for (now, call) in calls {
            let decisions = replay.decide(&call, now);
            lines.push(call.line(now, &decisions));
        }
    }
    (lines, together, replay.past)
}

#[test]
fn every_decision_is_that_of_the_pure_algorithm_in_the_order_of_redis() {
    let (returned, scripts) = run(4, 0, "stand");
    let cases = cases();
    let (replayed, together, _) = replayed(&cases, &scripts);
    assert_eq!(without_replayed(returned, &replayed), [] as [String; 0]);
    assert!(together > 8, "at most {together} calls have left together");
    for algo in ["tat", "fixed_window", "sliding_window", "sliding_log"] {
        assert!(
            scripts
                .iter()
                .any(|script| script.arguments.iter().any(|word| word == algo))
        );
    }
}

#[test]
fn a_clock_that_advances_during_calls_splits_batches_without_changing_decisions() {
    let (returned, scripts) = run(4, 0, "walk");
    let cases = cases();
    let (replayed, _, _) = replayed(&cases, &scripts);
    assert_eq!(without_replayed(returned, &replayed), [] as [String; 0]);
}

#[test]
fn local_denials_are_those_of_the_pure_algorithm_by_a_state_that_redis_had() {
    let (returned, scripts) = run(4, 1_000, "stand");
    let cases = cases();
    let (replayed, _, past) = replayed(&cases, &scripts);
    let local = without_replayed(returned, &replayed);
    assert!(
        local.len() > 100,
        "only {} calls were denied here",
        local.len()
    );
    let replay = Replay {
        cases: &cases,
        states: HashMap::new(),
        past,
    };
    let mut looks = HashMap::new();
    for line in &local {
        assert!(
            line.contains("false"),
            "an admission that redis has not seen: {line}"
        );
        let known = looks.entry(line.clone()).or_insert_with(|| {
            let (call, now) = parse(line);
            replay.looks(&call, now).contains(line)
        });
        assert!(*known, "no state decides so: {line}");
    }
}

/// The call of a line about one request that takes.
fn parse(line: &str) -> (Call, u64) {
    let numbers: Vec<usize> = line
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    // case, key, remaining, retry, reset, delay, cost, now
    let [case, subject, _, _, _, _, cost, now] = *numbers.as_slice() else {
        panic!("not about one request: {line}");
    };
    let call = Call {
        asked: vec![(case, subject)],
        operation: Operation::Take(cost as u64),
    };
    (call, now as u64 * 1_000)
}
