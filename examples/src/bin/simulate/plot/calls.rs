//! The calls of a replay with their positions: a row for each key, and seconds on the time axis.

use std::collections::HashMap;
use std::time::Duration;

use premier::Limit;

use super::call_result::CallResult;
use super::canvas::{LEFT, RIGHT, WIDTH};
use crate::arrivals::Arrival;
use crate::replay::Outcome;

/// If there are more keys than this, all share one row.
const MAX_ROWS: usize = 10;
const MAX_LABEL_CHARS: usize = 16;

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) all: Vec<Call>,
    pub(super) keys: usize,
    /// The label of each row.
    pub(super) rows: Vec<String>,
    pub(super) axis: Axis,
}

/// One call. Times are in seconds on the time axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) row: usize,
    pub(super) at: f64,
    /// When the call runs; equal to `at` if it does not wait or is rejected.
    pub(super) end: f64,
    pub(super) result: CallResult,
}

impl Calls {
    pub(super) fn new(limit: &Limit, arrivals: &[Arrival], outcomes: &[Outcome]) -> Self {
        let replayed = || arrivals.iter().zip(outcomes);
        let first = arrivals
            .first()
            .map_or(Duration::ZERO, |arrival| arrival.at);
        let last = replayed().map(end).max().filter(|&last| last > first);
        let axis = Axis::new(first, last.unwrap_or(first + limit.period()));

        let mut rows = HashMap::new();
        let mut labels = Vec::new();
        for Arrival { key, .. } in arrivals {
            rows.entry(key.as_str()).or_insert_with(|| {
                labels.push(label(key));
                labels.len() - 1
            });
        }
        let keys = labels.len();
        let share_row = keys > MAX_ROWS;
        if share_row {
            labels = vec![format!("all {keys} keys")];
        }
        let all = replayed()
            .map(|(arrival, outcome)| Call {
                row: if share_row {
                    0
                } else {
                    rows[arrival.key.as_str()]
                },
                at: axis.seconds(arrival.at),
                end: axis.seconds(end((arrival, outcome))),
                result: match outcome {
                    Outcome::Allow { wait, .. } if wait.is_zero() => CallResult::Admitted,
                    Outcome::Allow { .. } => CallResult::Waited,
                    Outcome::Deny { .. } => CallResult::Denied,
                    Outcome::Never => CallResult::Never,
                },
            })
            .collect();
        Self {
            all,
            keys,
            rows: labels,
            axis,
        }
    }

    pub(super) fn count(&self, result: CallResult) -> usize {
        self.all.iter().filter(|call| call.result == result).count()
    }
}

fn end((arrival, outcome): (&Arrival, &Outcome)) -> Duration {
    match *outcome {
        Outcome::Allow { wait, .. } => arrival.at.saturating_add(wait),
        Outcome::Deny { .. } | Outcome::Never => arrival.at,
    }
}

/// Returns the label of a key: escaped, because XML allows no control characters, and cut.
fn label(key: &str) -> String {
    let mut escaped = String::new();
    for char in key.chars() {
        match char {
            '"' | '\'' | '\\' => escaped.push(char),
            _ => escaped.extend(char.escape_debug()),
        }
    }
    match escaped.char_indices().nth(MAX_LABEL_CHARS) {
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
        None if escaped.is_empty() => "(empty key)".into(),
        None => escaped,
    }
}

/// The time axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The whole second from which times are counted. Not 0 if the times would have long labels.
    origin: u64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    fn new(first: Duration, last: Duration) -> Self {
        let span = last - first;
        let long = first.as_secs() >= 1_000 && first > span.saturating_mul(10);
        let origin = if long { first.as_secs() } else { 0 };
        let mut axis = Self {
            origin,
            from: 0.0,
            to: 0.0,
        };
        let margin = span.as_secs_f64() / 50.0;
        (axis.from, axis.to) = (axis.seconds(first) - margin, axis.seconds(last) + margin);
        axis
    }

    pub(super) fn name(&self) -> String {
        match self.origin {
            0 => "time in seconds".into(),
            origin => format!("time in seconds, from {origin} on"),
        }
    }

    pub(super) fn pixel(&self, seconds: f64) -> i32 {
        LEFT + ((seconds - self.from) / self.seconds_per_pixel()).round() as i32
    }

    pub(super) fn seconds_per_pixel(&self) -> f64 {
        (self.to - self.from) / f64::from(WIDTH - LEFT - RIGHT)
    }

    /// Formats a time with enough decimals to distinguish neighbouring labels.
    pub(super) fn label(&self, seconds: f64) -> String {
        let decimals = (2.0 - (self.to - self.from).log10()).ceil().clamp(0.0, 9.0) as usize;
        let label = format!("{seconds:.decimals$}");
        match label.trim_end_matches('0').trim_end_matches('.') {
            "" | "-" | "-0" => "0".into(),
            short if label.contains('.') => short.into(),
            _ => label,
        }
    }

    /// Returns how many labels fit on the axis.
    pub(super) fn labels(&self) -> usize {
        let longest = self.label(self.from).len().max(self.label(self.to).len());
        if longest > 8 { 6 } else { 12 }
    }

    fn seconds(&self, time: Duration) -> f64 {
        (time - Duration::from_secs(self.origin)).as_secs_f64()
    }
}
