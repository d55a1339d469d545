//! Writes decisions as CSV, and replaces files atomically.

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

/// Writes one row for each call, in the order of the calls.
pub(crate) fn write(arrivals: &[Arrival], outcomes: &[Outcome]) -> csv::Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(HEADER)?;
    for (arrival, outcome) in arrivals.iter().zip(outcomes) {
        let empty = String::new;
        let (decision, wait, retry_after, remaining) = match *outcome {
            Outcome::Allow { wait, remaining } => (
                "allow",
                format_seconds(wait),
                empty(),
                remaining.to_string(),
            ),
            Outcome::Deny {
                retry_after,
                remaining,
            } => (
                "deny",
                empty(),
                format_seconds(retry_after),
                remaining.to_string(),
            ),
            Outcome::Never => ("never", empty(), empty(), empty()),
        };
        let cost = arrival.cost.to_string();
        rows.write_record([
            arrival.at_text.as_str(),
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

/// Replaces the contents of a file atomically, by renaming a temporary file.
pub(crate) fn replace(path: &Path, contents: &str) -> io::Result<()> {
    // Replaces the target of a symbolic link, not the link. Writes to a device or pipe directly.
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
        // The file may be incomplete, or may not exist.
        let _ = fs::remove_file(&part);
    }
    written
}
