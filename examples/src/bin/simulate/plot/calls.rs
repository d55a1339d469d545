//! The calls of a replay as they are drawn: in which row, and where on the axis of time.

use std::collections::HashMap;
use std::time::Duration;

use premier::Limit;

use super::canvas::{LEFT, RIGHT, WIDTH};
use super::fate::Fate;
use crate::arrivals::Arrival;
use crate::replay::Outcome;

/// More keys than this share one row.
const MOST_ROWS: usize = 10;
const LABEL_CHARS: usize = 16;

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) all: Vec<Call>,
    pub(super) keys: usize,
    /// The label of each row.
    pub(super) rows: Vec<String>,
    pub(super) axis: Axis,
}

/// Times are seconds on the axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) row: usize,
    pub(super) at: f64,
    /// When it runs; the same as `at` if it does not wait or is refused.
    pub(super) end: f64,
    pub(super) fate: Fate,
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
        let together = keys > MOST_ROWS;
        if together {
            labels = vec![format!("all {keys} keys")];
        }
        let all = replayed()
            .map(|(arrival, outcome)| Call {
                row: if together {
                    0
                } else {
                    rows[arrival.key.as_str()]
                },
                at: axis.place(arrival.at),
                end: axis.place(end((arrival, outcome))),
                fate: match outcome {
                    Outcome::Allow { wait, .. } if wait.is_zero() => Fate::Admitted,
                    Outcome::Allow { .. } => Fate::Waited,
                    Outcome::Deny { .. } => Fate::Denied,
                    Outcome::Never => Fate::Never,
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

    pub(super) fn count(&self, fate: Fate) -> usize {
        self.all.iter().filter(|call| call.fate == fate).count()
    }
}

fn end((arrival, outcome): (&Arrival, &Outcome)) -> Duration {
    match *outcome {
        Outcome::Allow { wait, .. } => arrival.at.saturating_add(wait),
        Outcome::Deny { .. } | Outcome::Never => arrival.at,
    }
}

/// A key as it can be shown: XML knows no control characters.
fn label(key: &str) -> String {
    let mut shown = String::new();
    for char in key.chars() {
        match char {
            '"' | '\'' | '\\' => shown.push(char),
            _ => shown.extend(char.escape_debug()),
        }
    }
    match shown.char_indices().nth(LABEL_CHARS) {
        Some((cut, _)) => format!("{}…", &shown[..cut]),
        None if shown.is_empty() => "(empty key)".into(),
        None => shown,
    }
}

/// Time from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Whole seconds that all times are counted from, so that long ones stay readable.
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
        (axis.from, axis.to) = (axis.place(first) - margin, axis.place(last) + margin);
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

    /// A time with as many decimals as tell neighbouring labels apart.
    pub(super) fn label(&self, seconds: f64) -> String {
        let decimals = (2.0 - (self.to - self.from).log10()).ceil().clamp(0.0, 9.0) as usize;
        let label = format!("{seconds:.decimals$}");
        match label.trim_end_matches('0').trim_end_matches('.') {
            "" | "-" | "-0" => "0".into(),
            short if label.contains('.') => short.into(),
            _ => label,
        }
    }

    /// How many labels there is room for.
    pub(super) fn labels(&self) -> usize {
        let longest = self.label(self.from).len().max(self.label(self.to).len());
        if longest > 8 { 6 } else { 12 }
    }

    fn place(&self, time: Duration) -> f64 {
        (time - Duration::from_secs(self.origin)).as_secs_f64()
    }
}
