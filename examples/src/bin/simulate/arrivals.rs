//! Reads the calls to replay from CSV.

use std::fmt::{self, Display};
use std::str;
use std::time::Duration;

use csv::{ByteRecord, ReaderBuilder};

use crate::seconds;

const HEADER: [&str; 3] = ["at", "key", "cost"];

/// A call to replay.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    /// The text of `at` in the input.
    pub(crate) at_text: String,
    pub(crate) key: String,
    pub(crate) cost: u64,
}

/// An invalid row, with the line on which it begins.
#[derive(Debug)]
pub(crate) struct BadRow {
    line: usize,
    problem: String,
}

impl Display for BadRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for BadRow {}

/// Reads the whole input. Empty lines are skipped.
pub(crate) fn read(input: &[u8]) -> Result<Vec<Arrival>, BadRow> {
    let mut rows = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut row = ByteRecord::new();
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut header_seen = false;
    loop {
        let start = rows.position().byte() as usize;
        let bad = |problem| BadRow {
            line: line_of_row(input, start),
            problem,
        };
        if !rows
            .read_byte_record(&mut row)
            .map_err(|error| bad(error.to_string()))?
        {
            break;
        }
        if !header_seen {
            check_header(&row).map_err(bad)?;
            header_seen = true;
            continue;
        }
        let arrival = parse(&row).map_err(bad)?;
        if let Some(before) = arrivals.last().filter(|before| before.at > arrival.at) {
            let (at, before) = (&arrival.at_text, &before.at_text);
            return Err(bad(format!(
                "at {at} is before {before} of the row above: rows must be ascending"
            )));
        }
        arrivals.push(arrival);
    }
    if header_seen {
        Ok(arrivals)
    } else {
        Err(BadRow {
            line: 1,
            problem: no_header(),
        })
    }
}

fn check_header(row: &ByteRecord) -> Result<(), String> {
    if row.iter().eq(HEADER.map(str::as_bytes)) {
        Ok(())
    } else {
        Err(no_header())
    }
}

fn no_header() -> String {
    format!("the header must be {}", HEADER.join(","))
}

fn parse(row: &ByteRecord) -> Result<Arrival, String> {
    if row.len() != HEADER.len() {
        return Err(format!(
            "{} fields instead of 3 ({})",
            row.len(),
            HEADER.join(",")
        ));
    }
    let text = |column: usize| {
        str::from_utf8(&row[column]).map_err(|_| format!("{} is not UTF-8", HEADER[column]))
    };
    let (at_text, key, cost) = (text(0)?, text(1)?, text(2)?);
    Ok(Arrival {
        at: seconds::parse_seconds(at_text).map_err(|problem| format!("at {problem}"))?,
        at_text: at_text.to_owned(),
        key: key.to_owned(),
        cost: seconds::digits(cost)
            .ok_or_else(|| format!("cost {cost:?} is not a whole number from 0 to 2^64 - 1"))?,
    })
}

/// Returns the line on which the row begins that was read from byte `start` on. The line number of the
/// CSV reader is one too low after empty lines and lines that end with CR LF.
fn line_of_row(input: &[u8], start: usize) -> usize {
    let skipped = input[start..]
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let before = &input[..start + skipped];
    let is_end = |(index, &byte): (usize, &u8)| match byte {
        b'\n' => index == 0 || before[index - 1] != b'\r',
        byte => byte == b'\r',
    };
    1 + before
        .iter()
        .enumerate()
        .filter(|&place| is_end(place))
        .count()
}
