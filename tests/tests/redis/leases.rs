//! Units that a process takes ahead from Redis.

use std::time::{Duration, Instant};

use premier::algorithms::{Plan, State};
use premier::clock::{Clock, ManualClock};
use premier::{Config, Lease, Limit, Throttle, throttle};
use premier_tests::redis::Server;
use premier_tests::waits::{done, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that is not at its origin, so that times before now can be told from no time.
fn clock() -> ManualClock {
    let clock = ManualClock::new();
    clock.set(1_000_000 * SECOND);
    clock
}

/// A handler of its own, as each process has.
fn process(server: &Server, clock: &ManualClock, limit: Limit) -> Throttle {
    let redis = server.builder().clock(clock.clone()).build().unwrap();
    Throttle::new("leased", limit).with_config(Config::new(redis).keyspace("fleet"))
}

fn scripts(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let calls = |line: &str| -> Option<u64> {
        line.split_once("calls=")?.1.split_once(',')?.0.parse().ok()
    };
    let evaluated = stats
        .lines()
        .filter(|line| line.starts_with("cmdstat_eval"));
    evaluated.filter_map(calls).sum()
}

/// Every admitted call is one that a single process would have admitted at that instant.
#[test]
fn processes_that_take_ahead_never_admit_more_than_the_limit() {
    let server = Server::start();
    let limits = [
        Limit::token_bucket(50, SECOND),
        Limit::token_bucket(7, SECOND).burst(40),
        Limit::token_bucket(3_000, SECOND).burst(100),
        Limit::fixed_window(60, SECOND),
        Limit::sliding_window(60, SECOND),
    ];
    for (round, limit) in limits.into_iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(round as u64);
        let clock = clock();
        let leased = limit.lease(Lease::Percent(30));
        let processes: Vec<_> = (0..3).map(|_| process(&server, &clock, leased)).collect();
        let plan = Plan::new(limit).unwrap();
        let mut state = State::default();
        let (mut admitted, key) = (0, format!("key-{round}"));
        for step in 0..1_500 {
            let throttle = &processes[random.usize(..3)];
            let cost = random.u64(1..=3);
            let now = clock.now() / 1_000 * 1_000;
            if throttle.cost(cost).check(&key).unwrap().allowed {
                admitted += cost;
                let decision = state.take(&plan, now, cost);
                assert!(decision.allowed, "{limit}, step {step}: {decision:?}");
            }
            if random.u8(..4) == 0 {
                // After the second peek no call with the earlier time is on its way.
                for throttle in processes.iter().chain(&processes) {
                    let _ = throttle.peek("another").unwrap();
                }
                clock.advance(Duration::from_micros(random.u64(..40_000)));
            }
        }
        assert!(admitted > 80, "{limit}: {admitted}");
    }
}

#[test]
fn a_busy_process_asks_once_for_many_calls() {
    let (server, clock) = (Server::start(), clock());
    let limit = Limit::token_bucket(100_000, SECOND).lease(Lease::Units(1_000));
    let throttle = process(&server, &clock, limit);
    for call in 0..20_000 {
        assert!(throttle.check("k").unwrap().allowed, "{call}");
    }
    let scripts = scripts(&server);
    assert!(scripts < 2_000, "{scripts} script calls for 20,000 checks");
}

#[test]
fn units_that_are_not_used_are_given_back() {
    let (server, clock) = (Server::start(), clock());
    for (limit, key) in [
        (Limit::fixed_window(1_000, 3_600 * SECOND), "fixed"),
        (Limit::sliding_window(1_000, 3_600 * SECOND), "sliding"),
        (Limit::token_bucket(1_000, 3_600 * SECOND), "bucket"),
    ] {
        let throttle = process(&server, &clock, limit.lease(Lease::Units(100)));
        let other = process(&server, &clock, limit);
        for _ in 0..200 {
            assert!(throttle.check(key).unwrap().allowed);
        }
        clock.advance(SECOND);
        eventually(&format!("{key}: they are back"), || {
            other.peek(key).unwrap().remaining == 800
        });
        assert!(throttle.check(key).unwrap().allowed);
        drop(throttle);
        eventually(&format!("{key}: all but one are back"), || {
            other.peek(key).unwrap().remaining == 799
        });
    }
}

#[test]
fn the_last_units_of_a_limit_are_found_in_the_lease() {
    let (server, clock) = (Server::start(), clock());
    let limit = Limit::fixed_window(100, 3_600 * SECOND).lease(Lease::Percent(100));
    let throttle = process(&server, &clock, limit);
    let admitted = (0..300)
        .filter(|_| throttle.check("k").unwrap().allowed)
        .count();
    assert_eq!(admitted, 100);
}

#[test]
fn a_lease_lapses_with_its_window() {
    let (server, clock) = (Server::start(), clock());
    let limit = Limit::fixed_window(100, SECOND).lease(Lease::Units(50));
    let throttle = process(&server, &clock, limit);
    for window in 0..5 {
        let admitted = (0..300)
            .filter(|_| throttle.check("k").unwrap().allowed)
            .count();
        assert_eq!(admitted, 100, "window {window}");
        clock.advance(SECOND);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_leases_uses_nine_tenths_of_its_limit_and_no_more() {
    let server = Server::start();
    // Few enough for a busy machine to use up.
    let limit = Limit::token_bucket(4_000, SECOND).lease(Lease::Percent(10));
    let start = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let redis = server.handler();
            let throttle = Throttle::new("leased", limit).with_config(redis);
            tokio::spawn(async move {
                let mut admitted = 0_u64;
                while start.elapsed() < 3 * SECOND {
                    match throttle.check_async("k").await.unwrap().allowed {
                        true => admitted += 1,
                        false => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += done("a process", task).await;
    }
    let most = 4_000 + (4_000.0 * start.elapsed().as_secs_f64()) as u64;
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(admitted * 10 >= most * 9, "{admitted} of {most}");
}

#[throttle(algo = "token_bucket", rate = "1000/s", lease = "10%", key = key)]
fn leased_by_attribute(key: &str) {
    let _ = key;
}

#[test]
fn an_attribute_takes_a_lease() {
    let lists = |limit: &str| {
        premier::limits::list()
            .iter()
            .any(|entry| format!("{entry:?}").contains(limit))
    };
    leased_by_attribute("k").unwrap();
    assert!(lists("Percent(10)"), "{:?}", premier::limits::list());
}

#[test]
fn a_changed_limit_keeps_the_lease_of_the_code() {
    let server = Server::start();
    let redis = server.handler();
    let limit = Limit::fixed_window(1_000_000, 3_600 * SECOND).lease(Lease::Percent(10));
    let throttle = Throttle::new("changed and leased", limit).with_config(redis);
    let _ = throttle.check("k").unwrap();
    premier::limits::set(
        "changed and leased",
        Limit::fixed_window(500_000, 3_600 * SECOND),
    )
    .unwrap();
    let before = scripts(&server);
    for _ in 0..10_000 {
        assert!(throttle.check("k").unwrap().allowed);
    }
    let scripts = scripts(&server) - before;
    assert!(scripts < 2_000, "{scripts} script calls for 10,000 checks");
}

#[test]
fn a_limit_that_cannot_be_leased_says_so() {
    for limit in [
        Limit::leaky_bucket(10, SECOND).lease(Lease::Units(1)),
        Limit::sliding_log(10, SECOND).lease(Lease::Units(1)),
        Limit::fixed_window(10, SECOND).lease(Lease::Units(11)),
        Limit::fixed_window(10, SECOND).lease(Lease::Units(0)),
        Limit::fixed_window(10, SECOND).lease(Lease::Percent(101)),
    ] {
        let error = limit.validate().unwrap_err().to_string();
        assert!(error.contains("lease"), "{error}");
    }
    let leased = Limit::fixed_window(10, SECOND).lease(Lease::Units(1));
    let group = Throttle::all("group", &[leased, Limit::fixed_window(100, SECOND)]);
    let error = group.check("k").unwrap_err().to_string();
    assert!(error.contains("one limit that decides alone"), "{error}");
}
