//! What a function with attributes has to do, whatever its shape: how often its body runs, what its caller
//! gets, and that nothing is left behind. Time is virtual.

mod probe;

pub use probe::{Held, Probe};

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Error, MemoryHandler, timeout_workers};

use probe::Plan;

/// What `build.rs` gives to the attributes.
const ATTEMPTS: usize = 3;
const FAILURES: usize = 4;
const QUOTA: usize = 20;

const DAY: Duration = Duration::from_secs(86_400);
/// Longer than the TTL of a cached value, and much shorter than every other duration.
const AFTER_TTL: Duration = Duration::from_secs(2);

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build())
        .expect("the first configuration");
    clock
});

/// All functions share the clock, so they are tested one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of the functions.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The body has failed.
    Own,
    /// What a fallback gives in place of another error.
    Substitute,
    /// An attribute has refused the call.
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

impl From<Failure> for Box<dyn std::error::Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Own => "own".into(),
            Failure::Substitute => SUBSTITUTE.into(),
            Failure::Premier(error) => error.into(),
        }
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Failure {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => Self::Premier(*error),
            Err(error) if error.to_string() == SUBSTITUTE => Self::Substitute,
            Err(_) => Self::Own,
        }
    }
}

const SUBSTITUTE: &str = "substitute";

/// The fallback of the functions.
///
/// # Errors
/// Always: an error is the only output that all functions can return.
pub fn substitute<T, E: From<Failure> + Into<Failure>>(error: E) -> Result<T, E> {
    assert!(!matches!(error.into(), Failure::Substitute));
    Err(Failure::Substitute.into())
}

/// The result of the functions.
pub type AppResult<T> = Result<T, Failure>;

/// What a caller sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The value, as text.
    Value(String),
    /// The body has failed.
    Failed,
    /// A fallback has replaced an error.
    Substituted,
    /// A limit has refused the call.
    Denied,
    /// The call took too long.
    TimedOut,
    /// The circuit is open.
    Open,
    /// No permit was free.
    Busy,
}

/// An output, as the caller sees it.
pub trait See {
    /// Returns what the caller sees.
    fn seen(self) -> Seen;
}

impl<T: Debug, E: Into<Failure>> See for Result<T, E> {
    fn seen(self) -> Seen {
        match self.map_err(Into::into) {
            Ok(value) => Seen::Value(format!("{value:?}")),
            Err(Failure::Own) => Seen::Failed,
            Err(Failure::Substitute) => Seen::Substituted,
            Err(Failure::Premier(Error::QuotaExceeded { .. })) => Seen::Denied,
            Err(Failure::Premier(Error::Timeout { .. })) => Seen::TimedOut,
            Err(Failure::Premier(Error::CircuitOpen { .. })) => Seen::Open,
            Err(Failure::Premier(Error::ConcurrencyExceeded { .. })) => Seen::Busy,
            Err(Failure::Premier(other)) => panic!("{other}"),
        }
    }
}

/// Implements [`See`] for outputs that are no `Result`.
macro_rules! see {
    ($($output:ty),*) => {$(
        impl See for $output {
            fn seen(self) -> Seen {
                Seen::Value(format!("{self:?}"))
            }
        }
    )*};
}
see!((), u32, Option<u32>);

/// Polls a future until it is ready. Advances the clock when the future makes no progress.
///
/// # Panics
/// When the future is not ready after many polls.
pub fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // More polls than all attempts take.
        if polls % 10 == 0 {
            CLOCK.advance_to_next();
        }
    }
    panic!("waited in vain for a future")
}

/// A function with attributes.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The names of the attributes. The first is the outermost.
    pub stack: &'static [&'static str],
    /// What the body has reported.
    pub probe: &'static Probe,
    /// Calls the function.
    pub call: fn() -> Seen,
    /// Calls the same function without attributes.
    pub bare: fn() -> Seen,
    /// Whether the body runs in a future.
    pub is_async: bool,
    /// Whether the body can fail.
    pub is_fallible: bool,
}

impl Subject {
    fn has(&self, name: &str) -> bool {
        self.stack.contains(&name)
    }

    /// Returns whether both attributes are there, and the first encloses the second.
    fn is_above(&self, outer: &str, inner: &str) -> bool {
        let position = |name| self.stack.iter().position(|other| *other == name);
        matches!((position(outer), position(inner)), (Some(outer), Some(inner)) if outer < inner)
    }

    /// How often a call runs a body that always fails. A substitute is not tried again.
    fn attempts(&self) -> usize {
        match self.has("retry") && !self.is_above("retry", "fallback") {
            true => ATTEMPTS,
            false => 1,
        }
    }

    /// What a caller sees of an error of this attribute.
    fn error_of(&self, name: &str, seen: Seen) -> Seen {
        match self.is_above("fallback", name) {
            true => Seen::Substituted,
            false => seen,
        }
    }

    /// What a caller sees of an error of the body.
    fn failed(&self) -> Seen {
        match self.has("fallback") {
            true => Seen::Substituted,
            false => Seen::Failed,
        }
    }

    /// Advances the clock beyond all windows and circuits of earlier tests.
    fn begin(&self, plan: Plan) {
        CLOCK.advance(DAY);
        self.probe.begin(plan);
    }

    /// Calls the function after what was cached has expired.
    fn call_uncached(&self) -> Seen {
        CLOCK.advance(AFTER_TTL);
        (self.call)()
    }

    /// Asserts how often the body has run since the test began, and that it has left nothing behind.
    #[track_caller]
    fn assert_ran(&self, count: usize) {
        self.probe.wait_until_nothing_is_held();
        assert_eq!(self.probe.count(), count, "runs of the body: {self:?}");
    }
}

/// Calls the function in every way in which one of its attributes shows.
pub fn check(subject: &Subject) {
    let _turn = alone();
    LazyLock::force(&CLOCK);
    let value = (subject.bare)();
    assert!(matches!(value, Seen::Value(_)), "{value:?}");
    a_call_returns_what_the_bare_function_does(subject, &value);
    a_second_call_runs_the_body_unless_the_first_was_cached(subject, &value);
    calls_beyond_the_quota_are_refused(subject, &value);
    if subject.has("concurrency") && !subject.has("cache") {
        a_call_within_a_call_gets_no_permit(subject, &value);
    }
    if subject.is_fallible {
        a_body_that_fails_is_retried(subject, &value);
        a_body_that_always_fails_ends_the_call(subject);
    }
    if subject.has("timeout") {
        a_body_that_never_ends_is_given_up(subject);
    }
    if subject.is_fallible && subject.has("circuit_breaker") {
        a_body_that_always_fails_opens_the_circuit(subject);
    }
}

fn a_call_returns_what_the_bare_function_does(subject: &Subject, value: &Seen) {
    subject.begin(Plan::Succeed);
    assert_eq!((subject.call)(), *value, "{subject:?}");
    subject.assert_ran(1);
}

fn a_second_call_runs_the_body_unless_the_first_was_cached(subject: &Subject, value: &Seen) {
    subject.begin(Plan::Succeed);
    assert_eq!((subject.call)(), *value, "{subject:?}");
    assert_eq!((subject.call)(), *value, "{subject:?}");
    subject.assert_ran(if subject.has("cache") { 1 } else { 2 });
    CLOCK.advance(AFTER_TTL);
    assert_eq!((subject.call)(), *value, "{subject:?}");
    subject.assert_ran(if subject.has("cache") { 2 } else { 3 });
}

fn calls_beyond_the_quota_are_refused(subject: &Subject, value: &Seen) {
    subject.begin(Plan::Succeed);
    for _ in 0..QUOTA {
        assert_eq!(subject.call_uncached(), *value, "{subject:?}");
    }
    subject.assert_ran(QUOTA);
    let (seen, count) = if subject.has("throttle") {
        (subject.error_of("throttle", Seen::Denied), QUOTA)
    } else {
        (value.clone(), QUOTA + 1)
    };
    assert_eq!(subject.call_uncached(), seen, "{subject:?}");
    subject.assert_ran(count);
}

fn a_call_within_a_call_gets_no_permit(subject: &Subject, value: &Seen) {
    subject.begin(Plan::Call(subject.call));
    assert_eq!((subject.call)(), *value, "{subject:?}");
    let busy = subject.error_of("concurrency", Seen::Busy);
    assert_eq!(subject.probe.inner(), Some(busy), "{subject:?}");
    subject.assert_ran(1);
}

fn a_body_that_fails_is_retried(subject: &Subject, value: &Seen) {
    let failures = subject.attempts() - 1;
    subject.begin(Plan::Fail(failures));
    assert_eq!((subject.call)(), *value, "{subject:?}");
    subject.assert_ran(failures + 1);
}

fn a_body_that_always_fails_ends_the_call(subject: &Subject) {
    subject.begin(Plan::Fail(usize::MAX));
    assert_eq!((subject.call)(), subject.failed(), "{subject:?}");
    subject.assert_ran(subject.attempts());
}

/// A sync body goes on where the timeout has given it up. It keeps its permit, so that another attempt gets
/// none, and other attempts wait for the value that a cache is to keep.
fn a_body_that_never_ends_is_given_up(subject: &Subject) {
    let is_retried = subject.is_above("retry", "timeout") && subject.attempts() > 1;
    let keeps = |name| !subject.is_async && subject.is_above("timeout", name);
    let awaits_value =
        keeps("cache") && !(keeps("concurrency") && subject.is_above("concurrency", "cache"));
    let timed_out = subject.error_of("timeout", Seen::TimedOut);
    let (seen, count) = match is_retried {
        true if awaits_value => (timed_out, 1),
        true if keeps("concurrency") => (subject.error_of("concurrency", Seen::Busy), 1),
        true => (timed_out, ATTEMPTS),
        false => (timed_out, 1),
    };
    subject.begin(Plan::NeverEnd);
    let call = thread::spawn(subject.call);
    // A sync body runs on a worker, which may begin after its caller waits.
    let mut given_up = 0;
    while !call.is_finished() {
        let runs = subject.probe.count();
        let is_begun = given_up < runs || awaits_value && runs > 0;
        if !subject.is_async && is_begun && CLOCK.advance_to_next() {
            given_up += 1;
        }
        thread::yield_now();
    }
    assert_eq!(call.join().expect("no panic"), seen, "{subject:?}");
    subject.probe.release();
    while timeout_workers() > 0 {
        thread::yield_now();
    }
    subject.assert_ran(count);
}

fn a_body_that_always_fails_opens_the_circuit(subject: &Subject) {
    subject.begin(Plan::Fail(usize::MAX));
    // Where a retry is above, an attempt finds the circuit open that an earlier one of its call has opened.
    for _ in 0..FAILURES {
        let seen = subject.call_uncached();
        let is_open = seen == subject.error_of("circuit_breaker", Seen::Open);
        assert!(is_open || seen == subject.failed(), "{subject:?}");
    }
    // A substitute is no failure.
    if subject.is_above("circuit_breaker", "fallback") {
        assert_eq!(subject.call_uncached(), Seen::Substituted, "{subject:?}");
        subject.assert_ran((FAILURES + 1) * subject.attempts());
        return;
    }
    let open = subject.error_of("circuit_breaker", Seen::Open);
    assert_eq!(subject.call_uncached(), open, "{subject:?}");
    let each = if subject.is_above("circuit_breaker", "retry") {
        ATTEMPTS
    } else {
        1
    };
    subject.assert_ran(FAILURES * each);
}
