use std::time::Duration;

use premier::{Error, cache, retry, throttle, timeout};

#[timeout(50ms)]
async fn a() -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 1, duration = 1h)]
fn b() -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 2k, duration = 500ms)]
fn c() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = 100/min)]
fn d() -> Result<(), Error> {
    Ok(())
}

#[throttle(rate = "1/s", wait = true)]
fn e() -> Result<(), Error> {
    Ok(())
}

#[retry(base = -5s, factor = 2x, strategy = [1s, 2])]
fn f() -> Result<(), Error> {
    Ok(())
}

#[cache(ttl = 5m, capacity = 1k)]
fn g() -> u32 {
    1
}

#[timeout(true)]
async fn h() -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 3u32, duration = 5u64)]
fn typed() -> Result<(), Error> {
    Ok(())
}

fn main() {
    let _ = Duration::ZERO;
    let _ = (a(), b(), c(), d(), e(), f(), g(), h(), typed());
}
// 12 mistakes
