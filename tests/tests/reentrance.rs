//! Code of the user's may call premier from wherever premier runs it: no lock is held meanwhile. A call that waited
//! for a lock of its own thread would never end.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use premier::{
    Config, Error, Limit, MemoryHandler, Throttle, cache, circuit_breaker, concurrency, fallback,
    limits, retry, throttle, timeout,
};
use premier_tests::waits::{eventually, finishes};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

const HOUR: Duration = Duration::from_secs(3_600);

/// How often code of the user's has called everything.
static REENTERED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[throttle(rate = "1/h", key = key, name = "shared")]
fn throttled(key: impl fmt::Display) -> Result<(), Error> {
    drop(key);
    Ok(())
}

#[throttle(rate = "1/h", name = "keyless")]
fn keyless() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = "1000/h")]
#[throttle(rate = "1/h", key = "both")]
fn together() -> Result<(), Error> {
    Ok(())
}

#[retry(max = 2, base = 0)]
fn retried() -> Result<(), Error> {
    Err(down())
}

#[timeout("1h")]
fn timed() -> Result<(), Error> {
    Ok(())
}

#[cache(capacity = 2)]
fn cached(key: u32) -> u32 {
    key
}

#[fallback(|_| Ok(()))]
fn substituted() -> Result<(), Error> {
    Err(down())
}

#[concurrency(limit = 1, key = "permits")]
fn limited(nested: bool) -> Result<(), Error> {
    if nested { Ok(()) } else { limited(true) }
}

/// Opens at each failure, and half opens at once.
#[circuit_breaker(failures = 1, open_for = "1ns")]
fn broken(is_up: bool) -> Result<(), Error> {
    if is_up { Ok(()) } else { Err(down()) }
}

#[circuit_breaker(minimum_calls = 1, open_for = "1ns", half_open = 1, key = key)]
fn broken_by_key(key: impl fmt::Display, is_up: bool) -> Result<(), Error> {
    drop(key);
    if is_up { Ok(()) } else { Err(down()) }
}

static THROTTLE: LazyLock<Throttle> =
    LazyLock::new(|| Throttle::new("by hand", Limit::sliding_log(1, HOUR)));

fn down() -> Error {
    Error::backend("test", "down")
}

/// Calls everything that has a state, in each of its states.
fn everything() {
    for _ in 0..2 {
        let _ = throttled("key");
        let _ = keyless();
        let _ = together();
        let _ = THROTTLE.check("key");
        let _ = THROTTLE.acquire("key");
    }
    for is_up in [false, true, true] {
        let _ = broken(is_up);
        let _ = broken_by_key("key", is_up);
    }
    let _ = (retried(), timed(), substituted(), limited(false));
    for key in 0..4 {
        cached(key);
        cached(key);
    }
    let _ = premier::cache::invalidate("nothing", &0);
    let _ = limits::set("shared", Limit::fixed_window(2, HOUR));
    limits::reset("shared");
    let _ = (limits::list(), limits::file_status());
    let _ = THROTTLE.peek("key");
    let _ = THROTTLE.reset("key");
    let _ = premier::timeout_workers();
    let _ = premier::clear();
}

/// The code of the user, which calls everything. Code of the user that runs within these calls calls nothing.
fn reenter() {
    if IS_INSIDE.replace(true) {
        return;
    }
    everything();
    IS_INSIDE.set(false);
    REENTERED.fetch_add(1, Ordering::SeqCst);
}

struct Reenters;

impl Subscriber for Reenters {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "premier"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        reenter();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl CounterFn for Reenters {
    fn increment(&self, _: u64) {
        reenter();
    }

    fn absolute(&self, _: u64) {
        reenter();
    }
}

impl GaugeFn for Reenters {
    fn increment(&self, _: f64) {
        reenter();
    }

    fn decrement(&self, _: f64) {
        reenter();
    }

    fn set(&self, _: f64) {
        reenter();
    }
}

impl HistogramFn for Reenters {
    fn record(&self, _: f64) {
        reenter();
    }
}

impl Recorder for Reenters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        reenter();
        Counter::from_arc(Arc::new(Self))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        reenter();
        Gauge::from_arc(Arc::new(Self))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        reenter();
        Histogram::from_arc(Arc::new(Self))
    }
}

/// A key, a value and a waker whose code calls everything.
#[derive(Clone, Debug)]
struct Thing(u32);

impl fmt::Display for Thing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        reenter();
        write!(formatter, "{}", self.0)
    }
}

impl PartialEq for Thing {
    fn eq(&self, other: &Self) -> bool {
        reenter();
        self.0 == other.0
    }
}

impl Eq for Thing {}

impl Hash for Thing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        reenter();
        self.0.hash(state);
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        reenter();
    }
}

impl Wake for Thing {
    fn wake(self: Arc<Self>) {
        reenter();
    }
}

/// Runs code that calls everything, from the first call of this process on.
fn runs(what: &str, work: impl FnOnce() + Send + 'static) {
    let before = REENTERED.load(Ordering::SeqCst);
    finishes(what, work);
    assert!(REENTERED.load(Ordering::SeqCst) > before, "{what}");
}

/// One test, because the first event and the first metric of a process matter, too.
#[test]
fn code_of_the_user_may_call_premier_wherever_premier_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.toml");
    std::fs::write(&file, "[limits.filed]\nrate = \"1/s\"\n").unwrap();
    premier::config(Config::new(MemoryHandler::new()).limits_file(&file)).unwrap();
    metrics::set_global_recorder(Reenters).unwrap();
    tracing::subscriber::set_global_default(Reenters).unwrap();

    runs("look-ups are counted", || {
        let _ = cached(0);
    });
    runs("events and metrics are recorded", everything);
    let before = REENTERED.load(Ordering::SeqCst);
    std::fs::write(&file, "[limits.filed]\nrate = \"none\"\n").unwrap();
    eventually("the limits file is refused", || {
        let status = limits::file_status().unwrap();
        status.error.is_some() && REENTERED.load(Ordering::SeqCst) > before
    });
    runs("a key is displayed", || {
        let _ = throttled(Thing(1));
        let _ = broken_by_key(Thing(1), false);
        let _ = broken_by_key(Thing(1), true);
    });
    runs("a predicate is asked", a_predicate_is_asked);
    runs("a value is dropped", a_value_is_dropped);
    runs(
        "an argument is hashed and compared",
        an_argument_is_hashed_and_compared,
    );
    runs("a call that waits is woken", a_call_that_waits_is_woken);
}

fn a_predicate_is_asked() {
    #[circuit_breaker(failures = 1, open_for = "1ns", when = |_error| { reenter(); true })]
    #[retry(max = 2, base = 0, when = |_error| { reenter(); true }, on_retry = |_event| reenter())]
    fn fails() -> Result<(), Error> {
        Err(down())
    }
    #[throttle(rate = "1/h", on_reject = |error| { reenter(); Err(error) })]
    fn refused() -> Result<(), Error> {
        Ok(())
    }
    let _ = (fails(), fails(), refused(), refused());
}

fn a_value_is_dropped() {
    #[cache(capacity = 1)]
    fn value(key: u32) -> Thing {
        Thing(key)
    }
    for key in 0..4 {
        value(key);
    }
    let _ = premier::clear();
}

fn an_argument_is_hashed_and_compared() {
    #[cache(capacity = 2)]
    fn value(argument: Thing) -> u32 {
        argument.0
    }
    for _ in 0..2 {
        for number in 0..4 {
            value(Thing(number));
        }
    }
}

fn a_call_that_waits_is_woken() {
    #[concurrency(limit = 1, wait)]
    async fn serve(ends: bool) -> Result<(), Error> {
        if ends { Ok(()) } else { pending().await }
    }
    #[throttle(rate = "1/ms", algo = "leaky_bucket", wait)]
    async fn paced() -> Result<(), Error> {
        Ok(())
    }
    let waker = Waker::from(Arc::new(Thing(1)));
    let mut context = Context::from_waker(&waker);
    let mut running = Box::pin(serve(false));
    assert!(running.as_mut().poll(&mut context).is_pending());
    let mut waiting = Box::pin(serve(true));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(running);
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    for _ in 0..3 {
        let mut call = Box::pin(paced());
        while call.as_mut().poll(&mut context).is_pending() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
