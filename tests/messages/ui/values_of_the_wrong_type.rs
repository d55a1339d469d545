use std::time::Duration;

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

struct Thing;

const NUMBER: f32 = 3.0;

fn delay(_: u32) -> Duration {
    Duration::ZERO
}

#[throttle(quota = NUMBER, duration = 1)]
fn quota() {}

#[throttle(quota = "x".len() as f32, duration = 1)]
fn quota_of_an_expression() {}

#[throttle(quota = 1, duration = Thing)]
fn duration() {}

#[throttle(rate = Thing)]
fn rate() {}

#[throttle(limits("1/s", Thing))]
fn limits() {}

#[throttle(rate = "1/s", algo = Thing)]
fn algo() {}

#[throttle(rate = "1/s", algo = "gcra", burst = Thing)]
fn burst() {}

#[throttle(rate = "1/s", algo = "leaky_bucket", bucket_size = NUMBER)]
fn bucket_size() {}

#[throttle(rate = "1/s", cost = text)]
fn cost(text: String) {
    drop(text);
}

#[throttle(rate = "1/s", wait = Thing)]
fn wait() {}

#[throttle(rate = "1/s", key = (a, 1))]
fn key(a: u32) -> u32 {
    a
}

#[throttle(rate = "1/s", keymaker = |_| Thing)]
fn keymaker(a: u32) -> u32 {
    a
}

#[throttle(rate = "1/s", keymaker = |a: &str| a.len())]
fn type_in_a_keymaker(a: u32) -> u32 {
    a
}

#[throttle(rate = "1/s", on_reject = |error: u32| error)]
fn type_in_on_reject(a: u32) -> u32 {
    a
}

#[cache(ttl = Thing)]
fn ttl() {}

#[cache(capacity = NUMBER)]
fn capacity() {}

#[cache(key = Thing)]
fn cache_key() {}

#[concurrency(limit = NUMBER)]
fn limit() {}

#[concurrency(limit = 1, wait = Thing)]
async fn wait_for_a_permit() {}

#[timeout(Thing)]
fn timeout_of_a_thing() {}

#[timeout(1)]
fn output_of_a_worker() -> std::rc::Rc<u32> {
    std::rc::Rc::new(1)
}

#[circuit_breaker(failures = Thing)]
fn failures() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(open_for = Thing)]
fn open_for() -> Result<(), Error> {
    Ok(())
}

#[retry(max = Thing)]
fn max() -> Result<(), Error> {
    Ok(())
}

#[retry(base = Thing)]
fn base() -> Result<(), Error> {
    Ok(())
}

#[retry(factor = "x".len())]
fn factor() -> Result<(), Error> {
    Ok(())
}

#[retry(jitter = Thing)]
fn jitter() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = [1, Thing])]
fn delays() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = Thing)]
fn strategy() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = delay(1))]
fn strategy_of_a_call() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = |n: u64| Duration::from_secs(n))]
fn strategy_of_another_number() -> Result<(), Error> {
    Ok(())
}

#[retry(strategy = |a, b| Duration::from_secs(a + b))]
fn strategy_of_two_numbers() -> Result<(), Error> {
    Ok(())
}

#[retry]
fn argument_of_retry<T>(_: T) -> Result<(), Error> {
    Ok(())
}

impl Thing {
    #[retry]
    fn consumed(self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
// 34 mistakes
