//! What limits that come and go leave in the memory of a process, as the system counts it. In a process of its
//! own, because other tests take memory too.
#![forbid(unsafe_code)]

use std::process::Command;

/// In kilobytes.
const MOST: u64 = 10 * 1024;

#[test]
fn neither_limits_that_were_dropped_nor_changes_of_a_limit_stay_in_memory() {
    let output = Command::new(env!("CARGO_BIN_EXE_limits_come_and_go"))
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
