//! Prints two tables in Markdown: the times that criterion has measured, and how far the targets are
//! met.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// A kind of call, the library that makes it, and the nanoseconds that it takes.
struct Row {
    group: String,
    name: String,
    time: f64,
}

/// The nanoseconds of a call: those of the fastest sample, because other programs on the machine only ever add to
/// them. Of two threads the median, because the fastest sample is one in which they do not meet.
fn time(group: &str, sample: &Value) -> Option<f64> {
    let numbers = |name: &str| -> Option<Vec<f64>> {
        sample[name].as_array()?.iter().map(Value::as_f64).collect()
    };
    let (times, calls) = (numbers("times")?, numbers("iters")?);
    let mut each: Vec<_> = times
        .iter()
        .zip(calls)
        .map(|(time, calls)| time / calls)
        .collect();
    each.sort_by(f64::total_cmp);
    let index = if group.contains("two threads") {
        each.len() / 2
    } else {
        0
    };
    each.get(index).copied()
}

fn json(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn rows(under: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for group in fs::read_dir(under)? {
        let group = group?.path();
        if !group.is_dir() {
            continue;
        }
        for bench in fs::read_dir(group)? {
            let new = bench?.path().join("new");
            let Ok(what) = json(&new.join("benchmark.json")) else {
                continue;
            };
            let text = |name: &str| what[name].as_str().unwrap_or_default().to_owned();
            let group = text("group_id");
            let time = time(&group, &json(&new.join("sample.json"))?);
            rows.push(Row {
                group,
                name: text("function_id"),
                time: time.ok_or("no samples")?,
            });
        }
    }
    rows.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
    Ok(rows)
}

/// The libraries with which the others of a group are compared.
const FIRST: [&str; 9] = [
    "the counter",
    "governor",
    "governor, Strings ready made",
    "cached",
    "backon",
    "tokio",
    "recloser",
    "failsafe, consecutive failures",
    "tower_governor",
];

/// The targets: the kind of call, the library, and the largest ratio.
const TARGETS: [(&str, &str, f64); 23] = [
    (
        "keyless, the bucket stays full",
        "premier #[throttle]",
        1.05,
    ),
    ("keyless, the bucket is in use", "premier #[throttle]", 1.05),
    ("keyless, other algorithms", "premier fixed_window", 1.2),
    ("keyless, other algorithms", "premier sliding_window", 1.2),
    ("keyless, other algorithms", "premier leaky_bucket", 1.2),
    ("keyless, other algorithms", "premier sliding_log", 3.0),
    ("keyless, denied", "premier #[throttle]", 2.0),
    ("keyless, denied", "premier #[throttle], looked at", 2.0),
    (
        "keyless, denied",
        "premier #[throttle], dropped at once",
        2.0,
    ),
    (
        "keyless, two threads on one limit",
        "premier #[throttle]",
        1.0,
    ),
    ("keyed by text, 10,000 keys", "premier #[throttle]", 0.75),
    ("keyed by text, 10,000 keys", "premier Throttle", 1.0),
    ("keyed by u64, 10,000 keys", "premier #[throttle]", 0.9),
    ("keyed by u64, 10,000 keys", "premier Throttle", 1.0),
    ("cache hit by u64, 10,000 keys", "premier #[cache]", 1.0),
    ("cache hit by text, 10,000 keys", "premier #[cache]", 1.0),
    ("retry on success, sync", "premier #[retry]", 1.0),
    ("retry on success, async", "premier #[retry]", 1.0),
    ("timeout on success, async", "premier #[timeout]", 1.1),
    (
        "breaker on success, by rate",
        "premier #[circuit_breaker]",
        1.0,
    ),
    (
        "breaker on success, by count",
        "premier #[circuit_breaker]",
        1.0,
    ),
    (
        "HTTP layer by address, without headers",
        "premier ThrottleLayer",
        1.0,
    ),
    (
        "HTTP layer by address, with headers",
        "premier ThrottleLayer",
        1.0,
    ),
];

fn question(row: &Row) -> &str {
    row.group
        .split_once(' ')
        .map_or("", |(_, question)| question)
}

/// The row with which the others of its group are compared.
fn first<'a>(rows: &'a [Row], group: &str) -> Result<&'a Row, Box<dyn Error>> {
    rows.iter()
        .find(|row| row.group == group && FIRST.contains(&row.name.as_str()))
        .ok_or_else(|| format!("{group} has no row to compare with").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let under = std::env::args()
        .nth(1)
        .ok_or("where has criterion measured?")?;
    let rows = rows(Path::new(&under))?;
    println!("| question | who | ns | ratio |");
    println!("| --- | --- | ---: | ---: |");
    for row in &rows {
        println!(
            "| {} | {} | {:.1} | {:.2} |",
            question(row),
            row.name,
            row.time,
            row.time / first(&rows, &row.group)?.time
        );
    }
    println!();
    println!("| target | who | wanted | here | |");
    println!("| --- | --- | ---: | ---: | --- |");
    for (what, who, wanted) in TARGETS {
        let row = rows
            .iter()
            .find(|row| question(row) == what && row.name == who)
            .ok_or_else(|| format!("{who} did not answer: {what}"))?;
        let here = row.time / first(&rows, &row.group)?.time;
        let verdict = if here <= wanted { "met" } else { "**not met**" };
        println!("| {what} | {who} | ≤ {wanted:.2} | {here:.2} | {verdict} |");
    }
    let time_of = |name: &str| {
        rows.iter()
            .find(|row| row.group.starts_with(['1', '3']) && row.name == name)
            .map(|row| row.time)
            .ok_or_else(|| format!("{name} was not measured"))
    };
    let (sync, tasks) = (time_of("premier #[throttle]")?, time_of("premier async")?);
    let (here, verdict) = match tasks - sync {
        more if more <= 5.0 => (more, "met"),
        more => (more, "**not met**"),
    };
    println!("| async over sync | premier async | ≤ 5 ns | {here:.1} ns | {verdict} |");
    Ok(())
}
