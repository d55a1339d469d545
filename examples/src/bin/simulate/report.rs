//! The decisions as CSV, and files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;

use crate::arrivals::Arrival;
use crate::replay::Outcome;
use crate::seconds::format_seconds;

const HEADER: [&str; 7] = [
    "at",
    "key",
    "cost",
    "decision",
    "wait",
    "retry_after",
    "remaining",
];

/// One row a call, in the order of the calls.
pub(crate) fn write(arrivals: &[Arrival], outcomes: &[Outcome]) -> csv::Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(HEADER)?;
    for (arrival, outcome) in arrivals.iter().zip(outcomes) {
        let nothing = String::new;
        let (decision, wait, retry_after, remaining) = match *outcome {
            Outcome::Allow { wait, remaining } => (
                "allow",
                format_seconds(wait),
                nothing(),
                remaining.to_string(),
            ),
            Outcome::Deny {
                retry_after,
                remaining,
            } => (
                "deny",
                nothing(),
                format_seconds(retry_after),
                remaining.to_string(),
            ),
            Outcome::Never => ("never", nothing(), nothing(), nothing()),
        };
        let cost = arrival.cost.to_string();
        rows.write_record([
            arrival.written.as_str(),
            &arrival.key,
            &cost,
            decision,
            &wait,
            &retry_after,
            &remaining,
        ])?;
    }
    rows.into_inner().map_err(|error| error.into_error().into())
}

/// Puts a file in the place of another in one step.
pub(crate) fn replace(path: &Path, contents: &str) -> io::Result<()> {
    // Of a link the file it leads to is replaced; a device or a pipe is not replaced at all.
    let target = match fs::metadata(path) {
        Ok(found) if !found.is_file() => return fs::write(path, contents),
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let mut name = target
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(format!(".{}.part", process::id()));
    let part = target.with_file_name(name);
    let written = File::create_new(&part)
        .and_then(|mut file| file.write_all(contents.as_bytes()))
        .and_then(|()| fs::rename(&part, &target));
    if written.is_err() {
        // What is left of it; it may not even exist.
        let _ = fs::remove_file(&part);
    }
    written
}
