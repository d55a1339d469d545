//! Calls of one batch are not affected by each other's faults, and units of a caller that is gone are given
//! back.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use premier::algorithms::Plan;
use premier::clock::ManualClock;
use premier::{Decision, Error, Handler, Key, Limit, Operation, RedisHandler, Request, Throttle};
use premier_tests::proxy::DelayingProxy;
use premier_tests::redis::{Cluster, Server};
use premier_tests::waits::{LONGEST, eventually_async, within};

use super::monitor::Monitor;
use super::server;

const HOUR: Duration = Duration::from_secs(3_600);

fn handler() -> RedisHandler {
    server().handler()
}

/// One function of each algorithm, and groups that the lean script decides and one that it does not.
fn functions() -> Vec<(&'static str, Vec<Limit>)> {
    vec![
        ("window", vec![Limit::fixed_window(500, HOUR)]),
        ("sliding", vec![Limit::sliding_window(500, HOUR)]),
        ("log", vec![Limit::sliding_log(500, HOUR)]),
        ("bucket", vec![Limit::token_bucket(500, HOUR)]),
        ("uneven", vec![Limit::token_bucket(499, HOUR)]),
        (
            "queue",
            vec![Limit::leaky_bucket(500, HOUR).bucket_size(499)],
        ),
        (
            "group",
            vec![
                Limit::token_bucket(500, HOUR),
                Limit::fixed_window(600, HOUR),
            ],
        ),
        (
            "three",
            vec![
                Limit::sliding_window(500, HOUR),
                Limit::fixed_window(600, HOUR),
                Limit::leaky_bucket(500, HOUR).bucket_size(600),
            ],
        ),
        (
            "mixed",
            vec![
                Limit::sliding_log(500, HOUR),
                Limit::token_bucket(600, HOUR),
            ],
        ),
    ]
}

fn capacity(limits: &[Limit]) -> u64 {
    limits.iter().map(Limit::capacity).min().unwrap()
}

type Check = Pin<Box<dyn Future<Output = Result<Decision, Error>> + Send>>;

/// A call that has been sent.
struct Sent {
    call: Check,
    answer: Option<Result<Decision, Error>>,
}

impl Sent {
    fn new(throttle: &Throttle, key: impl Display + Send + Sync + 'static) -> Self {
        let throttle = throttle.clone();
        let call = Box::pin(async move { throttle.check_async(&key).await });
        let mut sent = Self { call, answer: None };
        sent.poll();
        sent
    }

    /// Polls the call once. Returns whether its caller has the answer.
    fn poll(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if self.answer.is_none()
            && let Poll::Ready(answer) = self.call.as_mut().poll(&mut context)
        {
            self.answer = Some(answer);
        }
        self.answer.is_some()
    }

    async fn answer(self) -> Result<Decision, Error> {
        match self.answer {
            Some(answer) => answer,
            None => within("a call is answered", self.call).await,
        }
    }
}

#[tokio::test]
async fn a_value_of_another_type_fails_its_own_caller_only() {
    one_bad_value_among_hundred("type", &|server, key| {
        server.command(&["SADD", key, "member"]);
    })
    .await;
}

#[tokio::test]
async fn garbage_fails_its_own_caller_only() {
    one_bad_value_among_hundred("garbage", &|server, key| {
        match key.ends_with("sliding_log") || key.contains("sliding_log:") {
            true => server.command(&["RPUSH", key, "garbage"]),
            false => server.command(&["SET", key, "garbage"]),
        };
    })
    .await;
}

async fn one_bad_value_among_hundred(what: &str, spoil: &dyn Fn(&Server, &str)) {
    for (function, limits) in functions() {
        let name = format!("{what}-{function}");
        let throttle = Throttle::all(&name, &limits).with_config(handler());
        // The bad value is the last key of a group, and the connection and the scripts are ready.
        assert!(throttle.check("50").unwrap().allowed);
        let keys = server().keys();
        let algo = limits.last().unwrap().algo().to_string();
        let is_bad = |key: &&String| {
            key.split([':', '{', '}']).any(|part| part == name) && key.contains(&algo)
        };
        let bad = keys.iter().rfind(is_bad).expect("its key");
        server().command(&["DEL", bad]);
        spoil(server(), bad);

        let monitor = Monitor::start(server());
        let calls: Vec<_> = (0..100).map(|key| Sent::new(&throttle, key)).collect();
        for (key, call) in calls.into_iter().enumerate() {
            let decision = call.answer().await;
            match key {
                50 => assert!(
                    matches!(decision, Err(Error::Backend { .. })),
                    "{name}: {decision:?}"
                ),
                _ => assert!(decision.unwrap().allowed, "{name} {key}"),
            }
        }
        let scripts = monitor.stop(server());
        let largest = scripts
            .iter()
            .filter(|script| script.keys.iter().any(|key| key.contains(&name)))
            .map(|script| script.keys.len() / limits.len());
        // A group with a log is decided alone.
        let largest = largest.max().unwrap();
        assert!(
            largest >= 10 || function == "mixed",
            "{name}: {largest} left together"
        );
        for key in ["49", "51"] {
            let left = throttle.peek(key).unwrap().remaining;
            assert_eq!(left, capacity(&limits) - 1, "{name}: each is counted once");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_before_it_is_sent_takes_nothing() {
    for (function, limits) in functions() {
        let name = format!("unsent-{function}");
        let proxy = DelayingProxy::to(server().port());
        // The calls wait for the connection.
        proxy.set_stalled(true);
        let redis = RedisHandler::builder(proxy.url()).timeout(LONGEST);
        let redis = redis.build().unwrap();
        let throttle = Throttle::all(&name, &limits).with_config(redis);
        let monitor = Monitor::start(server());
        let mut calls: Vec<_> = (0..50).map(|_| Sent::new(&throttle, "k")).collect();
        let mut number = 0..;
        calls.retain(|_| number.next().is_some_and(|number| number % 5 == 0));
        proxy.set_stalled(false);
        for call in calls {
            assert!(call.answer().await.unwrap().allowed);
        }
        let left = throttle.peek_async("k").await.unwrap().remaining;
        assert_eq!(left, capacity(&limits) - 10, "{name}");
        let scripts = monitor.stop(server());
        let gives_back = |script: &&super::monitor::ScriptCall| {
            script.keys[0].contains(&name) && script.arguments[0] == "release"
        };
        assert_eq!(scripts.iter().filter(gives_back).count(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_after_it_is_sent_gives_its_units_back() {
    for (function, limits) in functions() {
        let throttle = Throttle::all(&format!("sent-{function}"), &limits).with_config(handler());
        // Equal calls are merged, and others are among them.
        for cost in [1, 1, 1, 3] {
            let throttle = throttle.cost(cost);
            let left = async || throttle.peek_async("k").await.unwrap().remaining;
            let before = left().await;
            let mut calls: Vec<_> = (0..20).map(|_| Sent::new(&throttle, "k")).collect();
            eventually_async("the calls are decided", async || {
                left().await == before - 20 * cost
            })
            .await;
            // Five are answered; the answers of the others are waiting for them.
            let answered = calls.split_off(15);
            let early = calls.iter().filter(|call| call.answer.is_some()).count() as u64;
            drop(calls);
            for call in answered {
                assert!(call.answer().await.unwrap().allowed);
            }
            let kept = 5 + early;
            let what = format!("{function}: {kept} calls of {cost} remain");
            // A log gives back only what it took last, and a queue only its last slot.
            if !function.contains("log") && !["queue", "three", "mixed"].contains(&function) {
                eventually_async(&what, async || left().await == before - kept * cost).await;
            }
        }
    }
}

#[tokio::test]
async fn the_last_call_of_a_log_or_a_queue_gives_its_units_back() {
    for (function, limits) in functions() {
        let throttle = Throttle::all(&format!("last-{function}"), &limits).with_config(handler());
        let left = async || throttle.peek_async("k").await.unwrap().remaining;
        for _ in 0..5 {
            let call = Sent::new(&throttle, "k");
            let before = capacity(&limits);
            eventually_async("the call is decided", async || left().await == before - 1).await;
            if call.answer.is_some() {
                // It was faster than this test.
                throttle.reset_async("k").await.unwrap();
            }
            drop(call);
            eventually_async(function, async || left().await == before).await;
        }
    }
}

/// Functions that decide as one, on a server and in a cluster.
async fn together_give_back(redis: &RedisHandler, prefixes: [&str; 2]) {
    let plans = [
        [Plan::new(Limit::fixed_window(10, HOUR)).unwrap()],
        [Plan::new(Limit::token_bucket(10, HOUR)).unwrap()],
    ];
    let request = |index: usize, operation| {
        let key = Key::new(prefixes[index], Some("k"));
        Request::new(key, &plans[index], operation)
    };
    let left = async |index| {
        let peek = request(index, Operation::Peek(1));
        redis.handle_async(peek).await.unwrap().remaining
    };
    assert_eq!((left(0).await, left(1).await), (10, 10));
    let requests = [0, 1].map(|index| request(index, Operation::Take(2)));
    for _ in 0..5 {
        let mut call = redis.take_all_async(&requests);
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(call);
        eventually_async("both are given back", async || {
            (left(0).await, left(1).await) == (10, 10)
        })
        .await;
    }
    let taken = redis.take_all_async(&requests).await.unwrap();
    assert!(taken.iter().all(|decision| decision.allowed));
    assert_eq!((left(0).await, left(1).await), (8, 8));
}

#[tokio::test]
async fn functions_that_decide_as_one_give_their_units_back_together() {
    together_give_back(
        &handler(),
        ["together:a:fixed_window", "together:b:token_bucket"],
    )
    .await;
}

#[tokio::test]
async fn a_cluster_decides_and_gives_units_back_for_each_slot_apart() {
    let cluster = Cluster::start();
    let redis = cluster.handler();
    redis.ping().unwrap();
    for (function, limits) in functions() {
        let throttle =
            Throttle::all(&format!("slots-{function}"), &limits).with_config(redis.clone());
        let mut calls: Vec<_> = (0..120)
            .map(|call| Sent::new(&throttle, call % 30))
            .collect();
        let kept = calls.split_off(60);
        for call in kept {
            assert!(call.answer().await.unwrap().allowed);
        }
        // Of each key, two calls remain and two are given back, as far as no later call hides them.
        let is_hidden = ["log", "queue", "three", "mixed"].contains(&function);
        let mut most = vec![2; 30];
        for (call, sent) in calls.iter().enumerate() {
            most[call % 30] += u64::from(is_hidden || sent.answer.is_some());
        }
        drop(calls);
        eventually_async(function, async || {
            let mut all = true;
            for (key, most) in most.iter().enumerate() {
                let taken = capacity(&limits) - throttle.peek_async(&key).await.unwrap().remaining;
                let least = if is_hidden { 2 } else { *most };
                all &= (least..=*most).contains(&taken);
            }
            all
        })
        .await;
    }
}

#[tokio::test]
async fn after_a_storm_of_cancelled_calls_only_those_that_completed_are_counted() {
    let limit = Limit::fixed_window(1_000_000, HOUR);
    let throttle = Throttle::new("storm", limit).with_config(handler());
    // How long an answer takes, which depends on how busy the machine is.
    let began = Instant::now();
    for _ in 0..20 {
        assert!(throttle.peek_async("0").await.is_ok());
    }
    let trip = began.elapsed().as_micros() as u64 / 20;
    let mut completed = 0;
    for wave in 0..100_u64 {
        let calls: Vec<_> = (0..20).map(|key| Sent::new(&throttle, key % 3)).collect();
        let sent = Instant::now();
        for (index, mut call) in calls.into_iter().enumerate() {
            // From the time before the first is sent until all are answered.
            let patience = trip * (wave * 7_919 % 1_500) / 100 + 20 * index as u64;
            let patience = Duration::from_micros(patience);
            while sent.elapsed() < patience {
                std::hint::spin_loop();
            }
            completed += u64::from(call.poll());
        }
    }
    assert!((50..1_950).contains(&completed), "{completed} completed");
    eventually_async("exactly those are counted", async || {
        let mut taken = 0;
        for key in 0..3 {
            taken += 1_000_000 - throttle.peek_async(&key).await.unwrap().remaining;
        }
        taken == completed
    })
    .await;
}

/// The clock of the test has advanced before the call is dropped.
#[tokio::test]
async fn a_call_that_is_dropped_later_gives_nothing_back_to_a_later_window() {
    let clock = ManualClock::new();
    clock.set(HOUR);
    let redis = server().builder().clock(clock.clone()).build().unwrap();
    let limit = Limit::fixed_window(3, Duration::from_secs(1));
    let throttle = Throttle::new("later", limit).with_config(redis);
    let left = async || throttle.peek_async("k").await.unwrap().remaining;
    let call = Sent::new(&throttle, "k");
    assert!(call.answer.is_none());
    eventually_async("the call is decided", async || left().await == 2).await;
    clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        assert!(throttle.check_async("k").await.unwrap().allowed);
    }
    drop(call);
    // Calls that are sent after it are decided after it.
    assert_eq!(left().await, 1);
    assert_eq!(left().await, 1);
}
