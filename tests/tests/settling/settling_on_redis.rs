//! `settle` of calls whose units are in Redis.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use premier::{Limit, OnDrop, Throttle, testing, throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{eventually, joined};

const HOUR: Duration = Duration::from_secs(3_600);
const QUOTA: u64 = 5_000;
const ESTIMATE: u64 = 10;
const ACTUAL: u64 = 7;
const PROCESSES: usize = 8;
const KILLED: usize = 4;

fn remaining(throttle: &Throttle) -> u64 {
    throttle.cost(0).peek("k").unwrap().remaining
}

/// How many calls a process has reported as reserved and as settled.
#[derive(Default)]
struct Said {
    reserved: AtomicU64,
    settled: AtomicU64,
}

#[test]
fn the_bound_holds_when_processes_are_killed_between_reserving_and_settling() {
    let server = Server::start();
    let said: Vec<Arc<Said>> = (0..PROCESSES).map(|_| Arc::default()).collect();
    let mut readers = Vec::new();
    let mut processes: Vec<Child> = said
        .iter()
        .enumerate()
        .map(|(index, said)| {
            // The processes that will be killed wait for that.
            let settles = if index < KILLED { 3 } else { u64::MAX };
            let numbers = [QUOTA, ESTIMATE, ACTUAL, settles].map(|number| number.to_string());
            let mut process = Command::new(env!("CARGO_BIN_EXE_settling_member"))
                .arg(server.url())
                .args(numbers)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(process.stdout.take().unwrap());
            let said = Arc::clone(said);
            readers.push(thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    let count = match &*line {
                        "reserved" => &said.reserved,
                        _ => &said.settled,
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }));
            process
        })
        .collect();
    let mut killed_in_between = 0;
    for (process, said) in processes.iter_mut().zip(&said).take(KILLED) {
        let is_in_between = || {
            let settled = said.settled.load(Ordering::SeqCst);
            let reserved = said.reserved.load(Ordering::SeqCst);
            reserved > 3 && reserved > settled
        };
        eventually("a call has reserved and not settled", is_in_between);
        process.kill().unwrap();
        process.wait().unwrap();
    }
    eventually("the other processes are refused", || {
        let ended = processes
            .iter_mut()
            .map(|process| process.try_wait().unwrap());
        ended.filter(Option::is_some).count() == PROCESSES
    });
    for reader in readers {
        joined("the output ends", reader).unwrap();
    }
    let (mut reserved, mut settled) = (0, 0);
    for said in &said {
        let of_one = said.reserved.load(Ordering::SeqCst);
        killed_in_between += u64::from(of_one > said.settled.load(Ordering::SeqCst));
        reserved += of_one;
        settled += said.settled.load(Ordering::SeqCst);
    }
    assert!(killed_in_between > 0, "no process was killed in between");
    let handler = server.handler();
    let throttle = Throttle::new("model", Limit::fixed_window(QUOTA, HOUR)).with_config(handler);
    let taken = QUOTA - remaining(&throttle);
    let known = settled * ACTUAL + (reserved - settled) * ESTIMATE;
    println!("{known} units known, {taken} taken, {killed_in_between} calls never settled");
    assert!(reserved * ACTUAL <= QUOTA);
    assert!(QUOTA - taken < ESTIMATE, "the others did not get the rest");
    // A killed process may have reserved or settled one call more than it has reported.
    let killed = KILLED as u64;
    assert!(taken >= known - killed * (ESTIMATE - ACTUAL));
    assert!(taken <= known + killed * ESTIMATE);
    server.assert_all_expire();
}

#[test]
fn an_attribute_settles_the_real_cost_of_a_call() {
    #[throttle(limits("100/h"), cost = 50, settle = |tokens| *tokens)]
    fn ask(tokens: u64) -> u64 {
        tokens
    }

    let server = Server::start();
    let handler = server.handler();
    testing::scope(handler, || {
        for _ in 0..6 {
            ask(10).unwrap();
        }
        assert!(ask(10).is_err());
    });
}

#[test]
fn more_than_was_reserved_is_owed_by_later_calls_of_all_processes() {
    let server = Server::start();
    let throttle = || {
        let handler = server.handler();
        Throttle::new("model", Limit::fixed_window(100, HOUR)).with_config(handler)
    };
    let (here, there) = (throttle(), throttle());
    let permit = here.cost(10).acquire("k").unwrap();
    permit.settle(95).unwrap();
    // Settled twice is settled once.
    permit.settle(0).unwrap();
    assert_eq!(remaining(&there), 5);
    let dropped = there.cost(5).on_drop(OnDrop::Refund).acquire("k").unwrap();
    drop(dropped);
    eventually("what a dropped permit has taken is given back", || {
        remaining(&here) == 5
    });
}
