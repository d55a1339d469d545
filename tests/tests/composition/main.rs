//! All 24 orders of `#[cache]`, `#[retry]`, `#[throttle]` and `#[timeout]`, sync and async,
//! compared with a model in which the first attribute is outermost: the result, calls, retries,
//! quota spent and elapsed virtual time of each call in a sequence.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]

mod model;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use premier::clock::{Clock, ManualClock};
use premier::{
    Error, Limit, MemoryHandler, Throttle, cache, retry, throttle, timeout, timeout_workers,
};
use premier_tests::waits::LONGEST;

use model::{Model, as_modelled};

/// How long each call of the body takes, in milliseconds.
const BODY: u64 = 200;
/// How long a retry waits, in milliseconds; the throttle's `retry_after` may prolong it.
const DELAY: u64 = 1_000;
const MAX: u32 = 3;
/// The timeout, the throttle's period and the cache's TTL, in milliseconds.
const TIMEOUT: u64 = 2_500;
const PERIOD: u64 = 10_000;
const QUOTA: u64 = 3;
const TTL: u64 = 60_000;

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    premier::config(handler).expect("the first configuration");
    clock
});

#[derive(Debug)]
enum Failure {
    Flaky,
    Premier(Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Flaky => None,
            Self::Premier(error) => Some(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

/// How often a function has run its body and retried so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Done {
    calls: u32,
    retries: u32,
}

static DONE: LazyLock<Mutex<HashMap<&str, Done>>> = LazyLock::new(Mutex::default);

fn done() -> MutexGuard<'static, HashMap<&'static str, Done>> {
    DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of the body by the number of its call.
fn outcome(call: u32) -> Result<u32, Failure> {
    if [1, 4, 5, 6, 9, 11].contains(&call) {
        return Err(Failure::Flaky);
    }
    Ok(call)
}

fn begin(name: &'static str) -> u32 {
    let mut done = done();
    let done = done.entry(name).or_default();
    done.calls += 1;
    done.calls
}

fn count_retry(name: &'static str) {
    done().entry(name).or_default().retries += 1;
}

fn until(millis: u64) -> u64 {
    CLOCK.now() + millis * 1_000_000
}

macro_rules! stack {
    ($shape:ident $name:ident: $($layer:ident)*) => { stack!(@ $shape $name [] $($layer)*); };
    (@ $shape:ident $name:ident [$($done:tt)*] cache $($rest:ident)*) => {
        stack!(@ $shape $name [$($done)* #[cache(ttl = 60, key = "k")]] $($rest)*);
    };
    (@ $shape:ident $name:ident [$($done:tt)*] retry $($rest:ident)*) => {
        stack!(@ $shape $name [$($done)* #[retry(
            strategy = "fixed",
            base = 1,
            max = 3,
            on = Failure::Flaky | Failure::Premier(Error::QuotaExceeded { .. }),
            on_retry = |_| count_retry(concat!(stringify!($shape), stringify!($name))),
        )]] $($rest)*);
    };
    (@ $shape:ident $name:ident [$($done:tt)*] throttle $($rest:ident)*) => {
        stack!(@ $shape $name [$($done)* #[throttle(quota = 3, duration = 10, key = "k")]] $($rest)*);
    };
    (@ $shape:ident $name:ident [$($done:tt)*] timeout $($rest:ident)*) => {
        stack!(@ $shape $name [$($done)* #[timeout("2500ms")]] $($rest)*);
    };
    (@ sync $name:ident [$($done:tt)*]) => {
        $($done)*
        pub(super) fn $name() -> Result<u32, Failure> {
            let call = begin(concat!("sync", stringify!($name)));
            CLOCK.sleep(Duration::from_millis(BODY));
            outcome(call)
        }
    };
    (@ tasks $name:ident [$($done:tt)*]) => {
        $($done)*
        pub(super) async fn $name() -> Result<u32, Failure> {
            let call = begin(concat!("tasks", stringify!($name)));
            CLOCK.sleep_until(until(BODY)).await;
            outcome(call)
        }
    };
}

macro_rules! orders {
    ($($name:ident: $($layer:ident)*;)*) => {
        mod sync {
            use super::*;
            $(stack!(sync $name: $($layer)*);)*
        }
        mod tasks {
            use super::*;
            $(stack!(tasks $name: $($layer)*);)*
        }
        const ORDERS: &[(&str, &[&str])] = &[$((stringify!($name), &[$(stringify!($layer)),*])),*];

        fn run_task(name: &str) -> Result<u32, Failure> {
            match name {
                $(stringify!($name) => drive(tasks::$name()),)*
                _ => unreachable!(),
            }
        }

        fn run_thread(name: &str) -> Result<u32, Failure> {
            let function = match name {
                $(stringify!($name) => sync::$name,)*
                _ => unreachable!(),
            };
            drive_thread(function)
        }
    };
}

orders! {
    crqt: cache retry throttle timeout;
    crtq: cache retry timeout throttle;
    cqrt: cache throttle retry timeout;
    cqtr: cache throttle timeout retry;
    ctrq: cache timeout retry throttle;
    ctqr: cache timeout throttle retry;
    rcqt: retry cache throttle timeout;
    rctq: retry cache timeout throttle;
    rqct: retry throttle cache timeout;
    rqtc: retry throttle timeout cache;
    rtcq: retry timeout cache throttle;
    rtqc: retry timeout throttle cache;
    qcrt: throttle cache retry timeout;
    qctr: throttle cache timeout retry;
    qrct: throttle retry cache timeout;
    qrtc: throttle retry timeout cache;
    qtcr: throttle timeout cache retry;
    qtrc: throttle timeout retry cache;
    tcrq: timeout cache retry throttle;
    tcqr: timeout cache throttle retry;
    trcq: timeout retry cache throttle;
    trqc: timeout retry throttle cache;
    tqcr: timeout throttle cache retry;
    tqrc: timeout throttle retry cache;
}

/// Runs a future and advances the clock whenever the future waits.
fn drive<T>(future: impl Future<Output = T> + Send) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        assert!(CLOCK.advance_to_next(), "nothing to wait for");
    }
    panic!("waited in vain for the call to end");
}

/// Runs a sync function on a thread and advances the clock whenever the caller and the workers of
/// `#[timeout]` all sleep. A worker whose caller has returned still runs to its end.
fn drive_thread(function: fn() -> Result<u32, Failure>) -> Result<u32, Failure> {
    let thread = thread::spawn(function);
    let began = Instant::now();
    loop {
        assert!(
            began.elapsed() < LONGEST,
            "waited in vain for the call to end"
        );
        let workers = timeout_workers();
        let callers = usize::from(!thread.is_finished());
        if workers + callers == 0 {
            return thread.join().expect("no panic");
        }
        // While all of them sleep, no other thread changes these counts.
        if CLOCK.sleepers() == workers + callers
            && workers == timeout_workers()
            && callers == usize::from(!thread.is_finished())
        {
            CLOCK.advance_to_next();
        }
        thread::yield_now();
    }
}

/// Pauses between the calls, in milliseconds.
const PAUSES: [u64; 8] = [0, 100, 0, 61_000, 0, 2_000, 70_000, 5_000];

fn compare(shape: &'static str) {
    let limit = Limit::fixed_window(QUOTA, Duration::from_millis(PERIOD));
    for (name, layers) in ORDERS {
        let full: &'static str = format!("{shape}{name}").leak();
        let start = CLOCK.now();
        let mut model = Model {
            layers,
            now: 0,
            done: Done::default(),
            window: (0, 0),
            cached: None,
            drops: shape == "tasks",
        };
        let path = format!("composition::{shape}:{name}");
        let quota = Throttle::new(&path, limit);
        for (nth, pause) in PAUSES.into_iter().enumerate() {
            CLOCK.advance(Duration::from_millis(pause));
            model.now += pause;
            let expected = model.call(0, u64::MAX);
            let result = match shape {
                "tasks" => run_task(name),
                _ => run_thread(name),
            };
            let place = format!("{shape} {layers:?}, call {nth}");
            assert_eq!(as_modelled(&result), expected, "{place}");
            assert_eq!(
                (CLOCK.now() - start) / 1_000_000,
                model.now,
                "{place}: elapsed"
            );
            let done = done().get(full).copied().unwrap_or_default();
            assert_eq!(done, model.done, "{place}");
            let remaining = quota.peek("k").expect("memory answers").remaining;
            assert_eq!(remaining, model.remaining(), "{place}: quota");
        }
    }
    assert_eq!(ORDERS.len(), 24);
}

#[test]
fn every_order_of_four_attributes_behaves_as_the_model() {
    LazyLock::force(&CLOCK);
    compare("tasks");
    compare("sync");
}
