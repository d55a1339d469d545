//! When calls are sent, and how many scripts and steps they cost the server.

use std::time::{Duration, Instant};

use premier::clock::ManualClock;
use premier::{Algo, Limit, RedisHandler, Throttle};
use premier_tests::proxy::DelayingProxy;
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, done};

use super::monitor::Monitor;
use super::{SECOND, server};

const HOUR: Duration = Duration::from_secs(3_600);

/// How often a server has run a command.
fn runs(server: &Server, command: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let count = stats.split(&start).nth(1).unwrap_or("0,");
    count.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn a_lone_call_leaves_at_once() {
    let server = Server::start();
    let redis = server.handler();
    let limit = Limit::token_bucket(1_000_000, SECOND);
    let throttle = Throttle::new("lone", limit).with_config(redis);
    assert!(throttle.check("k").unwrap().allowed);
    let client = redis::Client::open(server.url()).unwrap();
    let mut client = client.get_connection().unwrap();
    let script = redis::Script::new("redis.call('GET', KEYS[1]) return {1, 2, 3, 4}");
    let mut plain = Vec::new();
    let mut checks = Vec::new();
    // One after the other, so that a busy machine slows both down.
    for _ in 0..400 {
        let began = Instant::now();
        let _: Vec<i64> = script.key("k").invoke(&mut client).unwrap();
        plain.push(began.elapsed());
        let began = Instant::now();
        assert!(throttle.check("k").unwrap().allowed);
        checks.push(began.elapsed());
    }
    // The fastest, because a busy machine delays most. Waiting for others would take each a millisecond.
    let (plain, checks) = (plain.iter().min().unwrap(), *checks.iter().min().unwrap());
    // A call takes two changes of the thread more.
    let most = 3 * *plain + Duration::from_micros(300);
    assert!(checks < most, "{checks:?}, and a plain script {plain:?}");
}

#[tokio::test]
async fn a_burst_leaves_in_full_batches() {
    for (algo, count) in [
        (Algo::TokenBucket, 5_000_u64),
        (Algo::FixedWindow, 1_500),
        (Algo::SlidingWindow, 1_500),
        (Algo::SlidingLog, 1_500),
    ] {
        let server = Server::start();
        let redis = server.handler();
        let throttle = Throttle::new("burst", Limit::new(algo, 10_000, HOUR)).with_config(redis);
        assert!(throttle.check_async("k").await.unwrap().allowed);
        let calls: Vec<_> = (0..count)
            .map(|call| {
                let throttle = throttle.clone();
                tokio::spawn(async move { throttle.check_async(&(call % 1_000)).await })
            })
            .collect();
        for call in calls {
            assert!(done("a call is answered", call).await.unwrap().allowed);
        }
        let scripts = runs(&server, "evalsha") - 1;
        assert!(
            scripts <= 6 * count.div_ceil(128),
            "{algo}: {scripts} scripts"
        );
    }
}

#[tokio::test]
async fn equal_calls_of_a_key_are_one_step_of_a_script() {
    let server = Server::start();
    let redis = server.handler();
    let throttle = Throttle::new("equal", Limit::fixed_window(10_000, HOUR)).with_config(redis);
    let monitor = Monitor::start(&server);
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.check_async("k").await })
        })
        .collect();
    for call in calls {
        assert!(done("a call is answered", call).await.unwrap().allowed);
    }
    // The time, an index, the limit, and the number of equal calls.
    let arguments = monitor
        .stop(&server)
        .into_iter()
        .map(|script| script.arguments.len());
    assert!(arguments.max().unwrap() <= 9, "equal calls are one group");
    let (scripts, reads, writes) = (
        runs(&server, "evalsha"),
        runs(&server, "get"),
        runs(&server, "set"),
    );
    assert_eq!(
        (reads, writes),
        (scripts, scripts),
        "a script reads and writes the key once"
    );
    assert!(scripts <= 200, "{scripts} scripts");
    assert_eq!(throttle.peek("k").unwrap().remaining, 9_000);
}

#[tokio::test]
async fn denied_calls_write_nothing() {
    let server = Server::start();
    let redis = server
        .builder()
        .deny_locally(Duration::ZERO)
        .build()
        .unwrap();
    for algo in [Algo::TokenBucket, Algo::FixedWindow, Algo::SlidingWindow] {
        let name = format!("denied-{algo}");
        let throttle = Throttle::new(&name, Limit::new(algo, 1, HOUR)).with_config(redis.clone());
        assert!(throttle.check_async("k").await.unwrap().allowed);
        let before = runs(&server, "set");
        for _ in 0..10 {
            assert!(!throttle.check_async("k").await.unwrap().allowed);
        }
        assert_eq!(runs(&server, "set"), before, "{algo}");
    }
}

/// Two scripts are in flight already, and their answers take long.
#[tokio::test]
async fn a_call_does_not_wait_for_the_answers_of_others_on_a_slow_network() {
    let proxy = DelayingProxy::to(server().port());
    let redis = RedisHandler::builder(proxy.url())
        .timeout(LONGEST)
        .build()
        .unwrap();
    let throttle = Throttle::new("slow", Limit::fixed_window(1_000, HOUR)).with_config(redis);
    let call = |key: u32| {
        let throttle = throttle.clone();
        tokio::spawn(async move { throttle.check_async(&key).await })
    };
    assert!(
        done("the connection is ready", call(0))
            .await
            .unwrap()
            .allowed
    );
    // A call that waits for the answers of others takes twice as long. A busy machine does not add half.
    let delay = SECOND;
    proxy.set_delay(Duration::ZERO, delay);
    for round in 0..3 {
        let mut calls = Vec::new();
        for key in 1..=4 {
            calls.push(call(10 * round + key));
            // The call has left before the next one comes, within a millisecond.
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_micros(150));
        }
        let began = Instant::now();
        for call in calls {
            assert!(done("a call is answered", call).await.unwrap().allowed);
        }
        let took = began.elapsed();
        assert!(took < delay + delay / 2, "{took:?}");
    }
}

/// The longer window has units that the shorter one has forgotten.
#[tokio::test]
async fn limits_of_one_name_with_different_periods_do_not_decide_together() {
    let clock = ManualClock::new();
    let redis = server().builder().clock(clock.clone()).build().unwrap();
    let throttle = |limit| Throttle::new("two-periods", limit).with_config(redis.clone());
    let long = throttle(Limit::fixed_window(1_000, HOUR));
    let short = throttle(Limit::fixed_window(100, SECOND));
    assert!(long.cost(100).check_async("k").await.unwrap().allowed);
    clock.advance(2 * SECOND);
    let calls: Vec<_> = (0..60)
        .map(|call| {
            let throttle = [&long, &short][call / 30].clone();
            tokio::spawn(async move { throttle.check_async("k").await })
        })
        .collect();
    for call in calls {
        assert!(done("a call is answered", call).await.unwrap().allowed);
    }
    let left = short.peek("k").unwrap().remaining;
    assert!(left <= 70, "{left} are left after 30 calls");
}
