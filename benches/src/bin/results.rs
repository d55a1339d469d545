//! Reads what criterion has measured and prints one table, as Markdown.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The question, who answers, and the median in nanoseconds.
struct Row {
    group: String,
    name: String,
    median: f64,
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
            let estimates = json(&new.join("estimates.json"))?;
            rows.push(Row {
                group: text("group_id"),
                name: text("function_id"),
                median: estimates["median"]["point_estimate"]
                    .as_f64()
                    .ok_or("no median")?,
            });
        }
    }
    rows.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
    Ok(rows)
}

/// Whom the others of a group are compared with.
const FIRST: [&str; 6] = [
    "governor",
    "governor, Strings ready made",
    "cached",
    "backon",
    "tokio",
    "tower_governor",
];

fn main() -> Result<(), Box<dyn Error>> {
    let under = std::env::args()
        .nth(1)
        .ok_or("where has criterion measured?")?;
    let rows = rows(Path::new(&under))?;
    println!("| question | who | ns, median | ratio |");
    println!("| --- | --- | ---: | ---: |");
    for row in &rows {
        let first = rows
            .iter()
            .find(|other| other.group == row.group && FIRST.contains(&other.name.as_str()))
            .ok_or("a group without one to compare with")?;
        let question = row
            .group
            .split_once(' ')
            .map_or("", |(_, question)| question);
        println!(
            "| {question} | {} | {:.1} | {:.2} |",
            row.name,
            row.median,
            row.median / first.median
        );
    }
    Ok(())
}
