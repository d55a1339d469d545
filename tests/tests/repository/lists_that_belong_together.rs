//! Lists that two crates need and cannot share.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between two others.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

/// The macros look for the names of refusals in `on` and `when`; the runtime says whether an error is one.
#[test]
fn the_macros_and_the_runtime_name_the_same_refusals() {
    let macros = source("premier-macros/src/parse/error_filter.rs");
    let named: BTreeSet<&str> = between(&macros, "const REFUSALS", ";\n\n")
        .split('"')
        .skip(1)
        .step_by(2)
        .collect();
    let runtime = source("premier-runtime/src/error/mod.rs");
    let refusals: BTreeSet<&str> = between(&runtime, "pub const fn is_refusal", "=> true")
        .split("Self::")
        .skip(1)
        .map(|variant| between(variant, "", " "))
        .collect();
    assert!(named.len() > 3, "{named:?}");
    assert_eq!(named, refusals);
}
