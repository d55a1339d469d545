//! Many processes share one limit through Redis.

use std::process::{Command, Stdio};
use std::time::Instant;

use premier_tests::redis::Server;
use premier_tests::waits::eventually;

const SECONDS: u64 = 5;
const PROCESSES: usize = 8;

/// Runs eight processes with eight callers each. Returns their admissions and the seconds until the
/// last process ended.
fn hammer(server: &Server, algo: &str, quota: u64, period_ms: u64) -> (u64, f64) {
    let started = Instant::now();
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(env!("CARGO_BIN_EXE_hammer"))
                .args([
                    &server.url(),
                    algo,
                    &quota.to_string(),
                    &period_ms.to_string(),
                ])
                .arg(SECONDS.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    eventually("all processes end", || {
        processes
            .iter_mut()
            .all(|process| process.try_wait().unwrap().is_some())
    });
    let admitted = processes
        .into_iter()
        .map(|process| {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout)
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    (admitted, started.elapsed().as_secs_f64())
}

/// The limit is 200 units per second. Each bound follows from the algorithm and the measured time.
#[test]
fn eight_processes_never_exceed_the_bound_and_reach_it() {
    let server = Server::start();
    let (quota, period) = (200_u64, 1_000_u64);
    for algo in [
        "token_bucket",
        "leaky_bucket",
        "fixed_window",
        "sliding_log",
        "sliding_window",
    ] {
        server.command(&["FLUSHALL"]);
        let (admitted, took) = hammer(&server, algo, quota, period);
        let periods = took * 1_000.0 / period as f64;
        let per_second = SECONDS * 1_000 / period;
        let (least, most) = match algo {
            "token_bucket" => (
                quota * per_second + quota - 2,
                quota as f64 * (periods + 1.0),
            ),
            "leaky_bucket" => (quota * per_second - 2, quota as f64 * periods + 1.0),
            "fixed_window" | "sliding_log" => {
                (quota * per_second, quota as f64 * (periods.floor() + 1.0))
            }
            // The estimate frees units unevenly, so only its upper bound is exact.
            _ => (quota * per_second * 8 / 10, quota as f64 * (periods + 1.0)),
        };
        println!("{algo}: {admitted} in {took:.2} s, at most {most:.0}, at least {least}");
        assert!(admitted as f64 <= most, "{algo}: {admitted} of {most}");
        assert!(
            admitted >= least * 99 / 100,
            "{algo}: {admitted} of {least}"
        );
        server.assert_all_expire();
    }
}
