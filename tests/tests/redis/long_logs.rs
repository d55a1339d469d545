//! A sliding log of many entries: what a call costs the server does not grow with the log.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Limit, Throttle};
use premier_tests::redis::Server;

use super::SECOND;

const QUOTA: u64 = 100_000;
/// The time at which the log of [`filled`] begins.
const BEGIN: Duration = Duration::from_secs(1_000);

/// A full log that has an entry in each of 100,000 microseconds.
fn filled(server: &Server) -> (ManualClock, Throttle) {
    let clock = ManualClock::new();
    clock.set(BEGIN);
    let redis = server
        .builder()
        .clock(clock.clone())
        .deny_locally(Duration::ZERO)
        .build()
        .unwrap();
    let limit = Limit::sliding_log(QUOTA, 60 * SECOND);
    let log = Throttle::new("log", limit).with_config(redis);
    // The server learns the script, and the form of the log is checked against the one that is filled in.
    assert!(log.check("k").unwrap().allowed);
    let key = "premier:log:sliding_log:k";
    let first = server.command(&["LINDEX", key, "0"]);
    assert!(first.contains("1000000000:1:1"), "{first}");
    let fill = "for i = 2, 100000 do \
        redis.call('RPUSH', KEYS[1], string.format('%d:%d:1', 1000000000 + i - 1, i)) end";
    server.command(&["EVAL", fill, "1", key]);
    clock.set(BEGIN + Duration::from_micros(QUOTA - 1));
    assert_eq!(log.peek("k").unwrap().remaining, 0);
    server.command(&["CONFIG", "RESETSTAT"]);
    (clock, log)
}

/// A number of `INFO commandstats` about a command.
fn stat(server: &Server, command: &str, field: &str) -> f64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:");
    let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
    let value = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix(field)));
    value.map_or(0.0, |value| value.trim_start_matches('=').parse().unwrap())
}

/// How long the server has run scripts.
fn evaluation(server: &Server) -> Duration {
    Duration::from_micros(stat(server, "evalsha", "usec") as u64)
}

#[test]
fn a_clock_that_steps_back_does_not_block_the_server() {
    for back in [QUOTA - 1, QUOTA / 2, 1] {
        let server = Server::start();
        let (clock, log) = filled(&server);
        let now = BEGIN + Duration::from_micros(QUOTA - 1 - back);
        clock.set(now);
        let denied = log.check("k").unwrap();
        // The fastest call, because Redis measures elapsed time, to which a busy machine adds pauses.
        let took = (0..10).map(|_| {
            server.command(&["CONFIG", "RESETSTAT"]);
            assert_eq!(log.check("k").unwrap(), denied);
            evaluation(&server)
        });
        let took = took.min().unwrap();
        assert!(took < Duration::from_millis(20), "{took:?}");
        // Entries in the future count as taken now; the oldest one is still the first to leave.
        assert!(!denied.allowed);
        assert_eq!(denied.retry_after, BEGIN + 60 * SECOND - now);
        assert_eq!(denied.reset_after, 60 * SECOND);
        clock.set(now + 60 * SECOND);
        assert_eq!(log.peek("k").unwrap().remaining, QUOTA);
    }
}

#[test]
fn a_call_looks_only_at_the_ends_of_a_log() {
    let server = Server::start();
    let (clock, log) = filled(&server);
    for _ in 0..100 {
        assert!(!log.check("k").unwrap().allowed);
    }
    let looks = stat(&server, "lindex", "calls");
    assert!(looks <= 200.0, "{looks} for 100 denied calls");

    // From now on one entry leaves the window in each microsecond.
    clock.set(BEGIN + 60 * SECOND);
    server.command(&["CONFIG", "RESETSTAT"]);
    for _ in 0..100 {
        assert!(log.check("k").unwrap().allowed);
        clock.advance(Duration::from_micros(1));
    }
    let looks = stat(&server, "lindex", "calls");
    assert!(looks <= 300.0, "{looks} for 100 admitted calls");
}

#[test]
fn a_refund_of_many_entries_does_not_block_the_server() {
    let server = Server::start();
    let took = (0..5).map(|_| {
        server.command(&["FLUSHALL"]);
        let (_, log) = filled(&server);
        log.refund("k", QUOTA / 2).unwrap();
        let took = evaluation(&server);
        assert_eq!(log.peek("k").unwrap().remaining, QUOTA / 2);
        took
    });
    let took = took.min().unwrap();
    assert!(took < Duration::from_millis(20), "{took:?}");
}
