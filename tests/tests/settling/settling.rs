//! `settle` of `#[throttle]`: the output of a call states its real cost.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Error, MemoryHandler, circuit_breaker, retry, testing, throttle};

const MINUTE: Duration = Duration::from_secs(60);

/// The answer of a model, and the tokens that it has used.
#[derive(Debug)]
struct Answer {
    tokens: u64,
}

fn in_scope(test: impl FnOnce(ManualClock)) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    testing::scope(handler, || test(clock));
}

/// The last part of the name of the limit that has denied a call.
fn refused_by(result: Result<u64, Error>) -> String {
    match result {
        Err(Error::QuotaExceeded { function, .. }) => {
            function.rsplit(':').next().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[throttle(limits("100/min"), cost = estimate, settle = |answer| answer.tokens, key = user)]
fn ask(user: &str, estimate: u64, tokens: u64) -> Answer {
    let _ = (user, estimate);
    Answer { tokens }
}

#[test]
fn units_that_a_call_has_not_used_are_given_back() {
    in_scope(|_| {
        for _ in 0..6 {
            ask("alice", 50, 10).unwrap();
        }
        assert!(ask("alice", 41, 41).is_err());
        ask("alice", 40, 40).unwrap();
        ask("bob", 100, 10).unwrap();
    });
}

#[test]
fn units_that_a_call_has_used_beyond_its_estimate_are_paid_by_later_calls() {
    in_scope(|clock| {
        ask("alice", 10, 160).unwrap();
        assert_eq!(ask("alice", 1, 1).unwrap_err().retry_after(), Some(MINUTE));
        clock.advance(MINUTE);
        assert!(ask("alice", 41, 41).is_err());
        ask("alice", 40, 40).unwrap();
    });
}

#[tokio::test]
async fn async_calls_are_settled_and_dropped_ones_keep_the_estimate() {
    #[throttle(rate = "100/min", cost = estimate, settle = tokens_of)]
    async fn ask(estimate: u64, answer: Result<u64, Error>) -> Result<u64, Error> {
        std::future::ready(()).await;
        if estimate == 13 {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn tokens_of(answer: &Result<u64, Error>) -> u64 {
        *answer.as_ref().unwrap_or(&0)
    }

    let memory = MemoryHandler::builder().clock(ManualClock::new()).build();
    testing::scope_async(memory, async {
        for _ in 0..8 {
            ask(60, Ok(5)).await.unwrap();
        }
        let failed = Err(Error::backend("the model", "an error costs nothing"));
        assert!(ask(60, failed).await.is_err());
        {
            let call = pin!(ask(13, Ok(0)));
            assert!(
                call.poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
        }
        assert!(ask(48, Ok(48)).await.is_err());
        ask(47, Ok(47)).await.unwrap();
    })
    .await;
}

#[test]
fn a_call_that_panics_keeps_the_estimate_or_gives_it_back() {
    #[throttle(rate = "10/min", cost = 6, settle = |()| 0)]
    fn keeps() {
        panic!("halfway");
    }

    #[throttle(rate = "10/min", cost = 6, settle = |()| 6, on_drop = "refund")]
    fn gives_back(panics: bool) {
        assert!(!panics, "halfway");
    }

    in_scope(|_| {
        assert!(catch_unwind(keeps).is_err());
        assert!(matches!(keeps(), Err(Error::QuotaExceeded { .. })));
        for _ in 0..3 {
            assert!(catch_unwind(AssertUnwindSafe(|| gives_back(true))).is_err());
        }
        gives_back(false).unwrap();
        assert!(gives_back(false).is_err());
    });
}

#[test]
fn a_key_owes_at_most_max_debt() {
    #[throttle(
        algo = "token_bucket",
        rate = "10/10s",
        settle = |units: &u64| *units,
        max_debt = 5,
    )]
    fn ask(units: u64) -> u64 {
        units
    }

    in_scope(|_| {
        ask(1_000).unwrap();
        let retry_after = ask(1).unwrap_err().retry_after();
        assert_eq!(retry_after, Some(Duration::from_secs(6)));
    });
}

#[test]
fn every_attempt_is_settled_by_its_own_output() {
    static CALLS: AtomicU64 = AtomicU64::new(0);

    #[retry(strategy = [0], max = 3, when = |error| matches!(error, Error::Backend { .. }))]
    #[throttle(rate = "10/min", cost = 4, settle = |output| output.as_ref().map_or(1, |n| *n))]
    #[circuit_breaker(failures = 100)]
    fn ask() -> Result<u64, Error> {
        match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(Error::backend("the model", "busy")),
            _ => Ok(8),
        }
    }

    in_scope(|_| {
        // One, one and eight units.
        assert_eq!(ask().unwrap(), 8);
        assert!(ask().is_err());
        assert_eq!(CALLS.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn limits_with_a_cost_each_decide_as_one() {
    #[throttle(
        limits(
            "5/min",
            ("100/min", cost = 50, settle = |tokens| *tokens),
            ("10/min", cost = 5, settle = |tokens| tokens / 10)
        ),
        key = user
    )]
    fn ask(user: &str, tokens: u64) -> u64 {
        let _ = user;
        tokens
    }

    in_scope(|clock| {
        for _ in 0..5 {
            ask("alice", 10).unwrap();
        }
        assert_eq!(refused_by(ask("alice", 10)), "ask");
        ask("bob", 100).unwrap();
        assert_eq!(refused_by(ask("bob", 10)), "ask#2");
        clock.advance(MINUTE);
        ask("alice", 40).unwrap();
        ask("alice", 40).unwrap();
        assert_eq!(refused_by(ask("alice", 1)), "ask#2");
    });
}

#[test]
fn a_cost_of_a_limit_stands_instead_of_that_of_the_attribute() {
    #[throttle(limits("10/min", ("100/min", cost = bytes)), cost = words)]
    fn send(words: u64, bytes: u64) {
        let _ = (words, bytes);
    }

    in_scope(|_| {
        send(4, 30).unwrap();
        assert!(send(7, 1).is_err());
        assert!(send(1, 71).is_err());
        send(6, 70).unwrap();
    });
}

#[test]
fn each_throttle_of_a_function_settles_its_own_units() {
    #[throttle(name = "requests", rate = "5/min")]
    #[throttle(name = "tokens", rate = "100/min", cost = 50, settle = |tokens| *tokens)]
    #[throttle(name = "cents", rate = "10/min", cost = 5, settle = |tokens| tokens / 10)]
    fn ask(tokens: u64) -> u64 {
        tokens
    }

    in_scope(|clock| {
        for _ in 0..5 {
            ask(10).unwrap();
        }
        assert_eq!(refused_by(ask(10)), "requests");
        clock.advance(MINUTE);
        ask(60).unwrap();
        assert_eq!(refused_by(ask(10)), "tokens");
    });
}
