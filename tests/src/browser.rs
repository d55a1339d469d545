//! A browser for tests.

use std::process::{Command, Output};

/// Runs Debian's Chromium with a fresh profile and without background network traffic.
///
/// # Panics
/// When Chromium fails, or takes longer than two minutes.
#[must_use]
pub fn chromium(arguments: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args([
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            "--enable-logging=stderr",
            // The page polls once a second, so this covers several polls.
            "--virtual-time-budget=5000",
            "--timeout=60000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .output()
        .expect("timeout is a part of coreutils");
    assert!(
        output.status.success(),
        "status 124: waited in vain for chromium; status 127: it is not installed: {output:?}"
    );
    output
}
