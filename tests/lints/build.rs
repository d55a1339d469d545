//! Writes the shapes out once for each attribute.
//!
//! `#[attribute]` in a shape stands for the attribute. A shape begins with a line `//@`, which may
//! exclude attributes: `//@ without timeout retry`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// A module name, and what `#[attribute]` becomes in the module. `bare` shows that a shape is free of
/// lints, or has them, by itself.
const VARIANTS: [(&str, &str); 21] = [
    ("bare", ""),
    ("cache", "#[premier::cache(key = 1)]"),
    ("cache_by_arguments", "#[premier::cache]"),
    (
        "cache_stale",
        "#[premier::cache(key = \"k\", ttl = 5, stale = \"1m\", capacity = 10)]",
    ),
    ("circuit_breaker", "#[premier::circuit_breaker]"),
    (
        "circuit_breaker_on",
        "#[premier::circuit_breaker(failures = 3, on = Error::Timeout { .. })]",
    ),
    ("concurrency", "#[premier::concurrency(limit = 4)]"),
    (
        "concurrency_wait",
        "#[premier::concurrency(limit = 4, wait = \"1s\", name = \"c\")]",
    ),
    ("retry", "#[premier::retry]"),
    (
        "retry_when",
        "#[premier::retry(max = 2, when = |error| !matches!(error, Error::Timeout { .. }), on_retry = |_event| ())]",
    ),
    (
        "retry_runtime",
        "#[premier::retry(max = u32::MAX, base = \"1s\", strategy = [1, 2])]",
    ),
    ("throttle", "#[premier::throttle(rate = \"1/s\")]"),
    (
        "throttle_by_key",
        "#[premier::throttle(quota = 3, duration = \"1s\", key = 7, cost = 2)]",
    ),
    (
        "throttle_by_text",
        "#[premier::throttle(limits(\"1/s\", \"9/min\"), key = \"k\", wait)]",
    ),
    ("timeout", "#[premier::timeout(5)]"),
    ("timeout_named", "#[premier::timeout(\"5s\", name = \"t\")]"),
    (
        "two_throttles",
        "#[premier::throttle(rate = \"1/s\")] #[premier::throttle(rate = \"9/min\", key = 1)]",
    ),
    (
        "retry_throttle",
        "#[premier::retry] #[premier::throttle(rate = \"1/s\")]",
    ),
    ("retry_timeout", "#[premier::retry] #[premier::timeout(1)]"),
    (
        "cache_breaker",
        "#[premier::cache(key = 1)] #[premier::circuit_breaker]",
    ),
    (
        "all",
        "#[premier::cache(key = 1)] #[premier::retry] #[premier::circuit_breaker] \
         #[premier::throttle(rate = \"1/s\")] #[premier::concurrency(limit = 1)] #[premier::timeout(1)]",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shapes");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for file in ["silent", "reported"] {
        let shapes = fs::read_to_string(format!("shapes/{file}.rs")).expect("the shapes exist");
        fs::write(
            Path::new(&out).join(format!("{file}.rs")),
            all_variants(&shapes),
        )
        .expect("cargo makes the directory");
    }
}

fn all_variants(shapes: &str) -> String {
    let (imports, shapes) = shapes
        .split_once("//@")
        .expect("a line `//@` before each shape");
    let mut modules = String::new();
    for (name, attribute) in VARIANTS {
        let allowed = match attribute {
            "" => "#![allow(clippy::missing_const_for_fn, clippy::unnecessary_wraps)]",
            _ => "",
        };
        writeln!(modules, "pub mod {name} {{\n{allowed}\n{imports}")
            .expect("a string takes everything");
        for shape in shapes.split("//@") {
            let (line, code) = shape.split_once('\n').expect("code follows the line `//@`");
            let mut excluded = line.trim().trim_start_matches("without").split_whitespace();
            if attribute.is_empty() || !excluded.any(|word| attribute.contains(word)) {
                // An empty line would be a finding of its own.
                let line = match attribute {
                    "" => String::new(),
                    attribute => format!("{attribute}\n"),
                };
                modules.push_str(&code.replace("#[attribute]\n", &line));
            }
        }
        modules.push_str("}\n");
    }
    modules
}
