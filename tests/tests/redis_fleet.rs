//! Many processes share limits, and some of them come to harm. A program of its own, because the fleet needs the
//! whole machine to use its limits up.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use premier_tests::redis::Server;
use premier_tests::waits::{eventually, joined};

const PROCESSES: usize = 8;
const SECONDS: u64 = 5;
/// Few enough for a busy machine to use up.
const QUOTA: u64 = 300;

#[test]
fn a_fleet_gets_what_its_limits_allow_although_a_process_is_killed_and_connections_break() {
    let server = Server::start();
    let began = Instant::now();
    let mut readers = Vec::new();
    let mut processes: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            let mut process = Command::new(env!("CARGO_BIN_EXE_fleet_member"))
                .args([server.url(), QUOTA.to_string(), SECONDS.to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(process.stdout.take().unwrap());
            readers.push(thread::spawn(move || {
                let mut admitted = HashMap::<String, u64>::new();
                for algo in output.lines().map_while(Result::ok) {
                    *admitted.entry(algo).or_default() += 1;
                }
                admitted
            }));
            process
        })
        .collect();
    thread::sleep(Duration::from_secs(2));
    processes[0].kill().unwrap();
    thread::sleep(Duration::from_secs(1));
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("all processes end", || {
        processes
            .iter_mut()
            .all(|process| process.try_wait().unwrap().is_some())
    });
    let periods = began.elapsed().as_secs_f64();
    for mut process in processes.into_iter().skip(1) {
        assert!(process.wait().unwrap().success());
    }
    let mut admitted = HashMap::<String, u64>::new();
    for reader in readers {
        for (algo, count) in joined("the output ends", reader).unwrap() {
            *admitted.entry(algo).or_default() += count;
        }
    }
    for (algo, least, most) in [
        // A full bucket to begin with.
        ("token_bucket", SECONDS + 1, periods + 1.0),
        ("fixed_window", SECONDS, periods.floor() + 1.0),
        ("sliding_log", SECONDS, periods.floor() + 1.0),
        ("sliding_window", SECONDS, periods + 1.0),
    ] {
        let admitted = admitted[algo];
        let (least, most) = (least * QUOTA * 99 / 100, QUOTA as f64 * most);
        println!("{algo}: {admitted} in {periods:.2} s, at least {least}, at most {most:.0}");
        assert!(admitted as f64 <= most, "{algo}: {admitted} of {most}");
        assert!(admitted >= least, "{algo}: {admitted} of {least}");
    }
    server.assert_all_expire();
}
