//! Clippy finds nothing in functions with attributes, and all that it finds without them.

use std::process::Command;

/// The crate expects every lint of the user's with `#[expect]`, so a lint that an expansion hides is a
/// finding, too.
#[test]
fn an_expansion_neither_adds_a_lint_nor_hides_one() {
    let output = Command::new(env!("CARGO"))
        .args([
            "clippy",
            "--offline",
            "--quiet",
            "-p",
            "premier-tests-lints",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let findings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{findings}");
}
