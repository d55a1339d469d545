//! Callers that wait for a bucket reserve a slot when they come, in their order and at its rate, in memory and on
//! Redis alike. Time is virtual.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Config, Error, Limit, MemoryHandler, Throttle, limits};
use premier_tests::redis::Server;
use premier_tests::waits::{LONGEST, eventually, received, sleepers};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The callers of one limit.
struct Callers {
    store: &'static str,
    clock: ManualClock,
    throttle: Throttle,
    name: String,
    runtime: Runtime,
    tasks: Vec<JoinHandle<()>>,
    sender: Sender<(usize, Result<(), Error>)>,
    ended: Receiver<(usize, Result<(), Error>)>,
}

impl Callers {
    fn new(store: &'static str, clock: ManualClock, config: Config, limit: Limit) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("slots {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (sender, ended) = channel();
        Self {
            store,
            clock,
            throttle: Throttle::new(&name, limit).with_config(config),
            name,
            runtime: Runtime::new().unwrap(),
            tasks: Vec::new(),
            sender,
            ended,
        }
    }

    /// One more caller, which waits.
    fn join(&mut self, throttle: &Throttle) {
        let (number, sender, throttle) = (self.tasks.len(), self.sender.clone(), throttle.clone());
        let before = self.clock.sleepers();
        let task = self.runtime.spawn(async move {
            let ended = throttle.acquire_async("k").await.map(drop);
            let _ = sender.send((number, ended));
        });
        self.tasks.push(task);
        sleepers(&self.clock, before + 1);
    }

    /// Adds `count` callers, which wait without limit.
    fn join_all(&mut self, count: usize) {
        let throttle = self.throttle.wait();
        for _ in 0..count {
            self.join(&throttle);
        }
    }

    fn leave(&self, number: usize) {
        let before = self.clock.sleepers();
        self.tasks[number].abort();
        eventually("the caller is gone", || self.clock.sleepers() < before);
    }

    /// Waits until the key owes `debt` and `waiting` callers have their slots.
    fn wait_until_owed(&self, debt: Duration, waiting: usize) {
        let what = format!("{}: {debt:?} are owed", self.store);
        eventually(&what, || {
            self.throttle.peek("k").unwrap().reset_after == debt
        });
        eventually(&what, || self.clock.sleepers() == waiting);
    }

    /// Asserts which callers are admitted next, each at this time in milliseconds and not before.
    #[track_caller]
    fn assert_admitted(&self, expected: &[(usize, u64)]) {
        for (index, &(number, at)) in expected.iter().enumerate() {
            let at = Duration::from_millis(at);
            if at > Duration::from_nanos(self.clock.now()) {
                self.clock.set(at - Duration::from_nanos(1));
                let early = self.ended.recv_timeout(Duration::from_millis(2));
                assert!(early.is_err(), "{}: {early:?} before {at:?}", self.store);
                self.clock.set(at);
            }
            let what = format!("{}: caller {number}, {index} of {expected:?}", self.store);
            let (admitted, result) = received(&what, &self.ended);
            assert_eq!((admitted, result.is_ok()), (number, true), "{what}");
        }
    }
}

trait Now {
    fn now(&self) -> u64;
}

impl Now for ManualClock {
    fn now(&self) -> u64 {
        premier::clock::Clock::now(self)
    }
}

/// Runs a test in memory and on Redis.
fn with_each_store(limit: Limit, test: impl Fn(Callers)) {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    test(Callers::new("memory", clock, memory.into(), limit));
    let (server, clock) = (Server::start(), ManualClock::new());
    let redis = server.builder().clock(clock.clone()).build().unwrap();
    test(Callers::new("redis", clock, redis.into(), limit));
}

fn one_a_second() -> Limit {
    Limit::token_bucket(1, SECOND)
}

#[test]
fn callers_are_admitted_in_their_order_at_the_rate_of_a_token_bucket() {
    with_each_store(Limit::token_bucket(2, SECOND).burst(3), |mut callers| {
        assert!(callers.throttle.cost(3).check("k").unwrap().allowed);
        callers.join_all(5);
        callers.assert_admitted(&[(0, 500), (1, 1_000), (2, 1_500), (3, 2_000), (4, 2_500)]);
        assert_eq!(callers.throttle.peek("k").unwrap().remaining, 0);
    });
}

#[test]
fn a_caller_that_does_not_wait_is_denied_while_others_wait() {
    with_each_store(one_a_second(), |mut callers| {
        assert!(callers.throttle.check("k").unwrap().allowed);
        callers.join_all(2);
        let denied = callers.throttle.check("k").unwrap();
        assert!(!denied.allowed, "{}", callers.store);
        assert_eq!((denied.retry_after, denied.remaining), (3 * SECOND, 0));
        let asked = callers.throttle.cost(0).check("k").unwrap();
        assert!(asked.allowed && asked.delay.is_zero());
        callers.assert_admitted(&[(0, 1_000), (1, 2_000)]);
        assert!(!callers.throttle.check("k").unwrap().allowed);
        callers.clock.advance(SECOND);
        assert!(callers.throttle.check("k").unwrap().allowed);
    });
}

#[test]
fn callers_behind_one_that_leaves_move_up() {
    for (leaves, admitted) in [
        (
            &[0][..],
            &[(1, 1_000), (2, 2_000), (3, 3_000), (4, 4_000)][..],
        ),
        (&[2], &[(0, 1_000), (1, 2_000), (3, 3_000), (4, 4_000)]),
        (&[4], &[(0, 1_000), (1, 2_000), (2, 3_000), (3, 4_000)]),
        (&[3, 0, 1], &[(2, 1_000), (4, 2_000)]),
    ] {
        with_each_store(one_a_second(), |mut callers| {
            assert!(callers.throttle.check("k").unwrap().allowed);
            callers.join_all(5);
            for number in leaves {
                callers.leave(*number);
            }
            callers.assert_admitted(admitted);
            // Nothing is owed for callers that left.
            callers.clock.advance(SECOND);
            assert!(callers.throttle.check("k").unwrap().allowed);
        });
    }
}

#[test]
fn when_all_callers_leave_nothing_is_owed_for_them() {
    with_each_store(one_a_second(), |mut callers| {
        assert!(callers.throttle.check("k").unwrap().allowed);
        callers.join_all(5);
        for number in [1, 4, 0, 3, 2] {
            callers.leave(number);
        }
        let throttle = &callers.throttle;
        let what = format!("{}: the bucket is as before", callers.store);
        eventually(&what, || throttle.peek("k").unwrap().reset_after == SECOND);
    });
}

#[test]
fn a_caller_whose_slot_comes_too_late_is_refused_at_once_and_takes_nothing() {
    with_each_store(one_a_second(), |mut callers| {
        assert!(callers.throttle.check("k").unwrap().allowed);
        callers.join_all(2);
        let throttle = callers
            .throttle
            .wait_at_most(3 * SECOND - Duration::from_micros(1));
        let error = throttle.acquire("k").unwrap_err();
        assert!(matches!(error, Error::QuotaExceeded { .. }), "{error}");
        assert_eq!(error.retry_after(), Some(3 * SECOND), "{}", callers.store);
        let throttle = callers.throttle.wait_at_most(3 * SECOND);
        callers.join(&throttle);
        callers.assert_admitted(&[(0, 1_000), (1, 2_000), (2, 3_000)]);
    });
}

#[test]
fn callers_of_different_costs_have_slots_of_different_lengths() {
    with_each_store(Limit::token_bucket(1, SECOND).burst(3), |mut callers| {
        assert!(callers.throttle.cost(3).check("k").unwrap().allowed);
        for cost in [2, 1, 3] {
            let throttle = callers.throttle.cost(cost).wait();
            callers.join(&throttle);
        }
        callers.leave(0);
        callers.assert_admitted(&[(1, 1_000), (2, 4_000)]);
    });
}

#[test]
fn units_that_are_given_back_let_all_callers_move_up() {
    for limit in [one_a_second(), Limit::leaky_bucket(1, SECOND)] {
        with_each_store(limit, |mut callers| {
            callers.throttle.acquire("k").unwrap();
            callers.join_all(4);
            callers.throttle.refund("k", 1).unwrap();
            callers.assert_admitted(&[(0, 0), (1, 1_000), (2, 2_000), (3, 3_000)]);
        });
    }
}

#[test]
fn callers_ask_again_when_a_key_is_reset() {
    with_each_store(Limit::token_bucket(2, HOUR), |mut callers| {
        assert!(callers.throttle.cost(2).check("k").unwrap().allowed);
        callers.join_all(3);
        callers.throttle.reset("k").unwrap();
        callers.assert_admitted(&[(0, 0), (1, 0)]);
        callers.wait_until_owed(3 * HOUR / 2, 1);
        callers.assert_admitted(&[(2, 1_800_000)]);
    });
}

#[test]
fn a_raised_limit_applies_to_waiting_callers() {
    for (slow, quick) in [
        (
            Limit::token_bucket(1, HOUR),
            Limit::token_bucket(1_000, SECOND).burst(1),
        ),
        (
            Limit::leaky_bucket(1, HOUR).bucket_size(20),
            Limit::leaky_bucket(1_000, SECOND).bucket_size(0),
        ),
    ] {
        with_each_store(slow, |mut callers| {
            callers.throttle.acquire("k").unwrap();
            callers.join_all(10);
            callers.clock.advance(SECOND);
            assert_eq!(limits::set(&callers.name, quick).unwrap(), 1);
            callers.wait_until_owed(Duration::from_millis(11), 10);
            let admitted: Vec<_> = (0..10).map(|nth| (nth, 1_001 + nth as u64)).collect();
            callers.assert_admitted(&admitted);
            callers.clock.advance(SECOND);
            callers
                .throttle
                .wait_at_most(Duration::ZERO)
                .acquire("k")
                .unwrap();
        });
    }
}

#[test]
fn a_lowered_limit_applies_to_waiting_callers() {
    with_each_store(one_a_second(), |mut callers| {
        assert!(callers.throttle.check("k").unwrap().allowed);
        callers.join_all(3);
        limits::set(&callers.name, Limit::token_bucket(1, 10 * SECOND)).unwrap();
        callers.wait_until_owed(31 * SECOND, 3);
        // The unit that was taken before keeps its second.
        callers.assert_admitted(&[(0, 1_000), (1, 11_000), (2, 21_000)]);
    });
}

#[test]
fn nothing_is_owed_for_a_caller_that_leaves_after_a_change() {
    with_each_store(Limit::token_bucket(1, HOUR), |mut callers| {
        assert!(callers.throttle.check("k").unwrap().allowed);
        callers.join_all(4);
        limits::set(&callers.name, Limit::token_bucket(1, SECOND)).unwrap();
        callers.wait_until_owed(5 * SECOND, 4);
        callers.leave(1);
        callers.assert_admitted(&[(0, 1_000), (2, 2_000), (3, 3_000)]);
    });
}

#[test]
fn callers_of_two_processes_share_the_rate() {
    let (server, clock) = (Server::start(), ManualClock::new());
    let process = || {
        let redis = server.builder().clock(clock.clone()).build().unwrap();
        let mut callers = Callers::new("redis", clock.clone(), redis.into(), one_a_second());
        callers.throttle = Throttle::new("shared", one_a_second())
            .with_config(server.builder().clock(clock.clone()).build().unwrap());
        callers
    };
    let (mut one, mut other) = (process(), process());
    assert!(one.throttle.check("k").unwrap().allowed);
    for _ in 0..3 {
        one.join_all(1);
        other.join_all(1);
    }
    one.leave(0);
    // Later callers of its process move up. The other process keeps its slots.
    one.assert_admitted(&[(1, 1_000)]);
    other.assert_admitted(&[(0, 2_000)]);
    one.assert_admitted(&[(2, 3_000)]);
    other.assert_admitted(&[(1, 4_000), (2, 6_000)]);
}

#[test]
fn a_caller_that_waits_is_one_script_call() {
    let server = Server::start();
    let redis = server.builder().build().unwrap();
    let limit = Limit::token_bucket(100, SECOND).burst(1);
    let throttle = Throttle::new("calls", limit).with_config(redis).wait();
    throttle.acquire("k").unwrap();
    let scripts = || {
        let stats = server.command(&["INFO", "commandstats"]);
        let calls = |line: &str| -> Option<u64> {
            line.split_once("calls=")?.1.split_once(',')?.0.parse().ok()
        };
        let evaluated = stats
            .lines()
            .filter(|line| line.starts_with("cmdstat_eval"));
        evaluated.filter_map(calls).sum::<u64>()
    };
    let before = scripts();
    Runtime::new().unwrap().block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move { throttle.acquire_async("k").await.map(drop) })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(LONGEST, task)
                .await
                .unwrap()
                .unwrap()
                .unwrap();
        }
    });
    // Fewer, because calls that come together are decided by one script.
    let calls = scripts() - before;
    assert!((1..=50).contains(&calls), "{calls} script calls");
}
