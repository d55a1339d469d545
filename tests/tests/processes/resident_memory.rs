//! The resident memory of a process in which limits come and go. The test measures a process that it starts,
//! because other tests take memory, too.
#![forbid(unsafe_code)]

use std::process::Command;

/// Has glibc return to the system whatever is free at the end of its heap. By default it keeps some small pieces
/// for each thread in their places, and whatever lies below these stays in memory for the next allocations.
const RETURNS_MEMORY: &str =
    "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.malloc.trim_threshold=131072";

/// In kilobytes: 52 bytes for each of the limits and changes.
const MOST: u64 = 5 * 1024 / 2;

#[test]
fn neither_limits_that_were_dropped_nor_changes_of_a_limit_stay_in_memory() {
    let output = Command::new(env!("CARGO_BIN_EXE_limits_come_and_go"))
        .env("GLIBC_TUNABLES", RETURNS_MEMORY)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    let kilobytes: Vec<u64> = output.lines().map(|line| line.parse().unwrap()).collect();
    println!("{kilobytes:?} KB before, after the limits, after the changes");
    let [before, limits, changes] = kilobytes[..] else {
        panic!("{output}");
    };
    assert!(
        limits < before + MOST,
        "{before} KB before, {limits} KB after"
    );
    assert!(
        changes < before + MOST,
        "{before} KB before, {changes} KB after"
    );
}
