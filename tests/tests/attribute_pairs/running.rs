//! Runs calls concurrently, on threads or as tasks, and advances the clock when all of them sleep.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use premier::clock::{Clock, ManualClock};
use premier::{Error, MemoryHandler, timeout_workers};
use premier_tests::waits::{LONGEST, joined};

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    premier::config(handler).expect("the first configuration");
    clock
});

/// All tests share the clock and the number of workers, so they run one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&CLOCK);
    turn
}

#[derive(Debug)]
pub(crate) enum Failure {
    Own,
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

type Output = Result<u32, Failure>;

/// The behaviour of a body, which returns the number of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Good,
    Fail,
    /// Only the first call does.
    FailOnce,
    /// Takes this many seconds.
    Slow(u64),
    /// Only the first call does.
    SlowOnce(u64),
    /// Runs until the test ends.
    Hold,
}

/// The outcome that a caller sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Okay(u32),
    Failed,
    Denied,
    TimedOut,
    Open,
    Busy,
}

impl From<Output> for Seen {
    fn from(output: Output) -> Self {
        match output {
            Ok(call) => Self::Okay(call),
            Err(Failure::Own) => Self::Failed,
            Err(Failure::Premier(Error::QuotaExceeded { .. })) => Self::Denied,
            Err(Failure::Premier(Error::Timeout { .. })) => Self::TimedOut,
            Err(Failure::Premier(Error::CircuitOpen { .. })) => Self::Open,
            Err(Failure::Premier(Error::ConcurrencyExceeded { .. })) => Self::Busy,
            Err(Failure::Premier(other)) => panic!("{other}"),
        }
    }
}

static RELEASED: AtomicBool = AtomicBool::new(false);
/// The number of sync bodies in `What::Hold`, which do not sleep on the clock.
static HOLDING: AtomicUsize = AtomicUsize::new(0);

fn begin(calls: &AtomicU32, what: What) -> (Output, Duration) {
    let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
    let seconds = match what {
        What::Slow(seconds) => seconds,
        What::SlowOnce(seconds) if call == 1 => seconds,
        _ => 0,
    };
    let fails = what == What::Fail || what == What::FailOnce && call == 1;
    let output = if fails { Err(Failure::Own) } else { Ok(call) };
    (output, Duration::from_secs(seconds))
}

fn later(by: Duration) -> u64 {
    CLOCK.now() + u64::try_from(by.as_nanos()).expect("short")
}

/// The body of a sync function.
pub(crate) fn work(calls: &AtomicU32, what: What) -> Output {
    let (output, length) = begin(calls, what);
    if what == What::Hold {
        HOLDING.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        while !RELEASED.load(Ordering::SeqCst) {
            assert!(
                began.elapsed() < LONGEST,
                "waited in vain for the test to end"
            );
            thread::sleep(Duration::from_millis(1));
        }
        HOLDING.fetch_sub(1, Ordering::SeqCst);
    }
    if !length.is_zero() {
        CLOCK.sleep(length);
    }
    output
}

/// The body of an async function.
pub(crate) async fn work_async(calls: &AtomicU32, what: What) -> Output {
    let (output, length) = begin(calls, what);
    if what == What::Hold {
        std::future::pending::<()>().await;
    }
    if !length.is_zero() {
        CLOCK.sleep_until(later(length)).await;
    }
    output
}

type Task = Pin<Box<dyn Future<Output = Output> + Send>>;

/// A function under test. Its arguments are its counter, the behaviour of its body, and its key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Sync(fn(&'static AtomicU32, What, u32) -> Output),
    Async(fn(&'static AtomicU32, What, u32) -> Task),
}

enum Call {
    Thread(JoinHandle<Output>),
    Task(Task),
    Ended(Seen),
}

/// All calls of one function.
pub(crate) struct Scene {
    shape: Shape,
    count: &'static AtomicU32,
    calls: Vec<Call>,
}

impl Scene {
    pub(crate) fn new(shape: Shape) -> Self {
        RELEASED.store(false, Ordering::SeqCst);
        Self {
            shape,
            count: Box::leak(Box::default()),
            calls: Vec::new(),
        }
    }

    /// How often the body has run.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }

    /// Starts a call and lets it run until it ends or sleeps on the clock.
    pub(crate) fn start(&mut self, what: What, key: u32) -> usize {
        let count = self.count;
        self.calls.push(match self.shape {
            Shape::Sync(function) => {
                Call::Thread(thread::spawn(move || function(count, what, key)))
            }
            Shape::Async(function) => Call::Task(function(count, what, key)),
        });
        self.settle();
        self.calls.len() - 1
    }

    /// Advances the clock until a call has ended.
    pub(crate) fn finish(&mut self, nth: usize) -> Seen {
        let began = Instant::now();
        loop {
            if let Call::Ended(seen) = self.calls[nth] {
                return seen;
            }
            assert!(began.elapsed() < LONGEST, "waited in vain for call {nth}");
            CLOCK.advance_to_next();
            self.settle();
        }
    }

    pub(crate) fn seen(&mut self, what: What, key: u32) -> Seen {
        let nth = self.start(what, key);
        self.finish(nth)
    }

    /// The outcome of a call, and the seconds it takes.
    pub(crate) fn timed(&mut self, what: What, key: u32) -> (Seen, u64) {
        let began = CLOCK.now();
        let seen = self.seen(what, key);
        (seen, (CLOCK.now() - began) / 1_000_000_000)
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        CLOCK.advance(Duration::from_secs(seconds));
        self.settle();
    }

    /// Lets all calls run until they have ended or sleep on the clock.
    fn settle(&mut self) {
        match self.shape {
            Shape::Sync(_) => self.settle_threads(),
            Shape::Async(_) => self.settle_tasks(),
        }
    }

    fn settle_threads(&mut self) {
        let began = Instant::now();
        let mut quiet = 0;
        // A thread that was woken counts as asleep until it runs, so one look is not enough.
        while quiet < 3 {
            assert!(began.elapsed() < LONGEST, "waited in vain for all to sleep");
            for call in &mut self.calls {
                if let Call::Thread(thread) = call
                    && thread.is_finished()
                {
                    let Call::Thread(thread) = std::mem::replace(call, Call::Ended(Seen::Failed))
                    else {
                        unreachable!()
                    };
                    let output = joined("a call", thread).expect("no panic");
                    *call = Call::Ended(output.into());
                    quiet = 0;
                }
            }
            let callers = self.calls.iter();
            let callers = callers
                .filter(|call| matches!(call, Call::Thread(_)))
                .count();
            let awake = callers + timeout_workers();
            let asleep = CLOCK.sleepers() + HOLDING.load(Ordering::SeqCst);
            quiet = if awake == asleep { quiet + 1 } else { 0 };
            thread::sleep(Duration::from_micros(300));
        }
    }

    fn settle_tasks(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        // A call that ends may unblock calls that were polled before it, so each is polled again.
        // The newest call is polled first: it must see its deadline before an older call that ends
        // at the same instant frees a permit.
        for _ in 0..=2 * self.calls.len() {
            for call in self.calls.iter_mut().rev() {
                if let Call::Task(task) = call
                    && let Poll::Ready(output) = task.as_mut().poll(&mut context)
                {
                    *call = Call::Ended(output.into());
                }
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        RELEASED.store(true, Ordering::SeqCst);
        if thread::panicking() {
            return;
        }
        if let Shape::Sync(_) = self.shape {
            let began = Instant::now();
            loop {
                self.settle();
                let ended = self.calls.iter().all(|call| matches!(call, Call::Ended(_)));
                if ended && timeout_workers() == 0 {
                    break;
                }
                assert!(began.elapsed() < LONGEST, "waited in vain for all to end");
                CLOCK.advance_to_next();
            }
        }
    }
}
