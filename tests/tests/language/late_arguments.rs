//! Arguments that are computed at the first call: an invalid one is computed again by the next call, and code that
//! runs meanwhile may call the function.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use premier::{Error, Limit, cache, limits, retry, throttle, timeout};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[test]
fn a_limit_that_was_invalid_at_the_first_call_limits_the_second() {
    static QUOTA: AtomicU64 = AtomicU64::new(0);

    #[throttle(quota = QUOTA.load(Ordering::Relaxed), duration = "1h")]
    fn report() -> Result<(), Error> {
        Ok(())
    }
    for _ in 0..2 {
        assert!(matches!(report(), Err(Error::Config { .. })));
    }
    QUOTA.store(1, Ordering::Relaxed);
    report().unwrap();
    assert!(matches!(report(), Err(Error::QuotaExceeded { .. })));
}

#[test]
fn a_limit_that_has_limited_a_call_is_not_computed_again() {
    static QUOTA: AtomicU64 = AtomicU64::new(1);

    #[throttle(quota = QUOTA.load(Ordering::Relaxed), duration = "1h")]
    fn report() -> Result<(), Error> {
        Ok(())
    }
    report().unwrap();
    for quota in [0, 10] {
        QUOTA.store(quota, Ordering::Relaxed);
        assert!(matches!(report(), Err(Error::QuotaExceeded { .. })));
    }
}

static QUOTA_OF_INSTANCE: AtomicU64 = AtomicU64::new(0);

struct Reports<T>(T);

impl<T> Reports<T> {
    #[throttle(quota = QUOTA_OF_INSTANCE.load(Ordering::Relaxed), duration = "1h")]
    fn report(&self) -> Result<&T, Error> {
        Ok(&self.0)
    }
}

#[test]
fn each_instance_computes_its_own_arguments_again() {
    let (numbers, texts) = (Reports(1), Reports("text"));
    assert!(matches!(numbers.report(), Err(Error::Config { .. })));
    QUOTA_OF_INSTANCE.store(1, Ordering::Relaxed);
    numbers.report().unwrap();
    QUOTA_OF_INSTANCE.store(0, Ordering::Relaxed);
    assert!(matches!(texts.report(), Err(Error::Config { .. })));
    assert!(matches!(numbers.report(), Err(Error::QuotaExceeded { .. })));
}

#[test]
fn timeouts_and_retries_that_were_invalid_at_the_first_call_hold_for_the_second() {
    static NUMBER: AtomicU64 = AtomicU64::new(0);

    #[timeout(NUMBER.load(Ordering::Relaxed))]
    fn run() -> Result<(), Error> {
        Ok(())
    }
    #[retry(max = NUMBER.load(Ordering::Relaxed))]
    fn repeat() -> Result<(), Error> {
        Ok(())
    }
    assert!(matches!(run(), Err(Error::Config { .. })));
    assert!(matches!(repeat(), Err(Error::Config { .. })));
    NUMBER.store(60, Ordering::Relaxed);
    run().unwrap();
    repeat().unwrap();
}

#[test]
fn a_cache_that_was_invalid_at_the_first_call_keeps_the_value_of_the_second() {
    static IS_VALID: AtomicBool = AtomicBool::new(false);
    static COMPUTED: AtomicU32 = AtomicU32::new(0);

    #[cache(ttl = if IS_VALID.load(Ordering::Relaxed) { "1m" } else { "1 parsec" })]
    fn compute(number: u32) -> u32 {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        number
    }
    compute(1);
    compute(1);
    assert_eq!(COMPUTED.load(Ordering::Relaxed), 2);
    IS_VALID.store(true, Ordering::Relaxed);
    compute(1);
    compute(1);
    assert_eq!(COMPUTED.load(Ordering::Relaxed), 3);
}

#[throttle(quota = 10, duration = "1h", name = "watched")]
fn watched() -> Result<(), Error> {
    Ok(())
}

/// Calls the function at the first event.
#[derive(Default)]
struct Caller {
    has_called: AtomicBool,
}

impl Subscriber for Caller {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        if !self.has_called.swap(true, Ordering::Relaxed) {
            watched().unwrap();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_may_call_the_function_whose_limit_is_being_bound() {
    // One limit cannot be replaced by two: an event says so while the limit is bound.
    let name = "language::late_arguments:watched";
    let limit = Limit::fixed_window(1, Duration::from_secs(1));
    limits::set_all(name, &[limit, limit]).unwrap();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let called = tracing::subscriber::with_default(Caller::default(), watched);
        done.send(called.is_ok()).unwrap();
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(true));
}
