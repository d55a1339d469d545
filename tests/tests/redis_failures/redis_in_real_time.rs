//! Behaviour of Redis that only real time shows: how long a key lives, and how often a server that
//! is down is probed.
#![forbid(unsafe_code)]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use premier::{Algo, Limit, RedisHandler, Throttle};
use premier_tests::redis::Server;
use premier_tests::waits::eventually;

const SECOND: Duration = Duration::from_secs(1);

/// The longest pause between probes that the documentation of [`RedisHandler`] states.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How much later a busy machine may do something. Pauses that doubled without a bound would be more than a second
/// longer after the seconds of these tests.
const BUSY: Duration = Duration::from_millis(900);

fn time_to_live(server: &Server, key: &str) -> Duration {
    let reply = server.command(&["PTTL", key]);
    let millis: i64 = reply.trim_start_matches(':').trim().parse().unwrap();
    Duration::from_millis(u64::try_from(millis).expect("a key with a TTL"))
}

/// A key lives until its newest unit has expired, not only its oldest, and no longer.
#[test]
fn a_key_lives_exactly_as_long_as_its_newest_unit() {
    let server = Server::start();
    let redis = server.handler();
    let period = 4 * SECOND;
    let throttles: Vec<_> = [
        Algo::FixedWindow,
        Algo::SlidingWindow,
        Algo::SlidingLog,
        Algo::TokenBucket,
    ]
    .into_iter()
    .map(|algo| {
        let limit = Limit::new(algo, 4, period);
        (
            algo,
            Throttle::new(&algo.to_string(), limit).with_config(redis.clone()),
        )
    })
    .collect();
    // Each limit admits a unit at 0, 1.2 and 2.4 s.
    for pause in [Duration::ZERO, SECOND * 6 / 5, SECOND * 6 / 5] {
        thread::sleep(pause);
        for (algo, throttle) in &throttles {
            assert!(throttle.check("k").unwrap().allowed, "{algo}");
            let reset = throttle.peek("k").unwrap().reset_after;
            let key = format!("premier:{algo}:{algo}:k");
            let lives = time_to_live(&server, &key);
            // A busy machine takes some time between the two. A key that lived as long as its oldest unit, or a
            // period from now, would differ by more than a second.
            let slack = Duration::from_millis(700);
            assert!(
                lives + slack >= reset && lives <= reset + slack,
                "{algo}: {lives:?} for {reset:?}"
            );
        }
    }
    // The first unit of the log has expired, and the other two remain.
    thread::sleep(2 * SECOND);
    let (_, log) = &throttles[2];
    assert_eq!(log.peek("k").unwrap().remaining, 2);
    assert!(!log.cost(3).check("k").unwrap().allowed);
    eventually("all keys have expired", || server.keys().is_empty());
}

/// The pause between probes has a bound, however long the server is down.
#[test]
fn a_server_that_is_down_is_probed_at_most_a_quarter_of_a_second_apart() {
    let mut server = Server::start();
    let redis = RedisHandler::connect(server.url()).unwrap();
    redis.ping().unwrap();
    server.kill();
    // A listener in the place of the server accepts every connection and closes it.
    let mut listener = None;
    eventually("the port is free again", || {
        listener = TcpListener::bind(("127.0.0.1", server.port())).ok();
        listener.is_some()
    });
    let listener = listener.unwrap();
    let probes = Arc::new(Mutex::new(Vec::new()));
    let ends = Instant::now() + 4 * SECOND;
    let counter = thread::spawn({
        let probes = Arc::clone(&probes);
        listener.set_nonblocking(true).unwrap();
        move || {
            while Instant::now() < ends {
                match listener.accept() {
                    Ok((stream, _)) => {
                        drop(stream);
                        probes.lock().unwrap().push(Instant::now());
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        }
    });
    eventually("four seconds are over", || counter.is_finished());
    let probes = probes.lock().unwrap();
    let pauses: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let longest = pauses.iter().max().copied().unwrap_or(4 * SECOND);
    assert!(
        longest < LONGEST_PAUSE + BUSY,
        "{longest:?} between two of {} probes",
        probes.len()
    );
    // The pauses grow, so that a returning server is not flooded.
    assert!(probes.len() < 100, "{} probes in 4 s", probes.len());
    let last = probes.last().expect("it is probed at all");
    assert!(ends - *last < LONGEST_PAUSE + BUSY);
}

#[test]
fn a_server_that_was_down_for_long_is_used_again_within_the_bound() {
    let mut server = Server::start();
    let redis = RedisHandler::connect(server.url()).unwrap();
    let throttle = Throttle::new("t", Limit::fixed_window(100, 60 * SECOND)).with_config(redis);
    throttle.acquire("k").unwrap();
    server.kill();
    eventually("the outage is noticed", || throttle.check("k").is_err());
    thread::sleep(3 * SECOND);
    server.restart();
    let back = Instant::now();
    eventually("redis is in use", || throttle.check("k").is_ok());
    assert!(
        back.elapsed() < LONGEST_PAUSE + BUSY,
        "{:?}",
        back.elapsed()
    );
}
