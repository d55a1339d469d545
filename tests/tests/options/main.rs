//! Every option of every attribute, on a function of each shape: sync, async, one that returns a
//! future and one that returns a boxed future. Time is virtual and jumps to the end of every sleep.
#![forbid(unsafe_code)]
// The lints are about the shapes under test.
#![allow(clippy::manual_async_fn, clippy::type_complexity)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{
    Error, MemoryHandler, cache, circuit_breaker, concurrency, retry, throttle, timeout,
};
use premier_tests::waits::finishes;

const SECOND: Duration = Duration::from_secs(1);

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::auto_advancing();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build()).unwrap();
    clock
});

/// All tests share the clock, so they run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&CLOCK);
    turn
}

#[derive(Clone, Debug)]
enum Failure {
    Minor,
    Major,
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

type CallResult = Result<Option<u32>, Failure>;

/// The result of a body: `what` selects it, and a success holds the number of the call.
fn outcome(calls: &AtomicU32, what: u32) -> CallResult {
    let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
    match what {
        MINOR => Err(Failure::Minor),
        MAJOR => Err(Failure::Major),
        NONE => Ok(None),
        _ => Ok(Some(call)),
    }
}

const MINOR: u32 = 101;
const MAJOR: u32 = 102;
const NONE: u32 = 103;
const STUCK: u32 = 104;

/// Polls a future until it is ready. A call that sleeps advances the clock.
fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("waited in vain for a future")
}

type Function = fn(Arc<AtomicU32>, u32, u32) -> CallResult;

/// One function of each shape with these attributes. Its arguments are a counter and two numbers.
macro_rules! shapes {
    (|$calls:ident, $what:ident, $key:ident| $($attribute:tt)*) => {{
        $($attribute)*
        fn sync($calls: Arc<AtomicU32>, $what: u32, $key: u32) -> CallResult {
            let _ = $key;
            if $what == STUCK {
                std::thread::sleep(SECOND / 5);
            }
            outcome(&$calls, $what)
        }

        $($attribute)*
        async fn asynchronous($calls: Arc<AtomicU32>, $what: u32, $key: u32) -> CallResult {
            let _ = $key;
            if $what == STUCK {
                std::future::pending::<()>().await;
            }
            outcome(&$calls, $what)
        }

        $($attribute)*
        fn future(
            $calls: Arc<AtomicU32>,
            $what: u32,
            $key: u32,
        ) -> impl Future<Output = CallResult> + Send {
            let _ = $key;
            async move {
                if $what == STUCK {
                    std::future::pending::<()>().await;
                }
                outcome(&$calls, $what)
            }
        }

        $($attribute)*
        fn boxed($calls: Arc<AtomicU32>, $what: u32, $key: u32) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
            let _ = $key;
            Box::pin(async move {
                if $what == STUCK {
                    std::future::pending::<()>().await;
                }
                outcome(&$calls, $what)
            })
        }

        let shapes: [(&str, Function); 4] = [
            ("sync", |calls, what, key| {
                finishes("a sync call", move || sync(calls, what, key))
            }),
            ("async", |calls, what, key| drive(asynchronous(calls, what, key))),
            ("future", |calls, what, key| drive(future(calls, what, key))),
            ("boxed", |calls, what, key| drive(boxed(calls, what, key))),
        ];
        shapes
    }};
}

/// One function and the counter of its calls.
struct Subject {
    function: Function,
    calls: Arc<AtomicU32>,
}

impl Subject {
    fn call(&self, what: u32, key: u32) -> CallResult {
        (self.function)(Arc::clone(&self.calls), what, key)
    }

    /// Makes a call that must fail with an error of premier, and returns the error.
    fn refusal(&self, what: u32, key: u32) -> Error {
        match self.call(what, key) {
            Err(Failure::Premier(error)) => error,
            other => panic!("{other:?} where premier refuses"),
        }
    }

    fn denied(&self, what: u32, key: u32) -> bool {
        match self.call(what, key) {
            Ok(_) | Err(Failure::Minor | Failure::Major) => false,
            Err(Failure::Premier(Error::QuotaExceeded { .. } | Error::BucketFull { .. })) => true,
            Err(Failure::Premier(other)) => panic!("{other}"),
        }
    }

    fn count(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Runs `show` on a function of each shape.
fn each(shapes: [(&str, Function); 4], show: impl Fn(&Subject, &str)) {
    let _turn = alone();
    for (shape, function) in shapes {
        let calls = Arc::default();
        show(&Subject { function, calls }, shape);
    }
}

fn took(work: impl FnOnce()) -> Duration {
    let began = CLOCK.now();
    work();
    Duration::from_nanos(CLOCK.now() - began)
}

/// How many of ten calls are admitted.
fn admitted(subject: &Subject) -> usize {
    (0..10).filter(|_| !subject.denied(0, 1)).count()
}

mod bounded;
mod cached;
mod retried;
mod throttled;
