use std::time::Duration;

use premier::{Error, cache, circuit_breaker, concurrency, retry, timeout};

#[timeout(limit)]
async fn a(limit: Duration) -> Result<(), Error> {
    let _ = limit;
    Ok(())
}

#[cache(ttl = self_destruct, key = 1)]
fn b(self_destruct: Duration) -> u32 {
    let _ = self_destruct;
    1
}

#[concurrency(limit = n)]
fn c(n: u64) -> Result<u64, Error> {
    Ok(n)
}

#[circuit_breaker(open_for = length)]
fn d(length: Duration) -> Result<Duration, Error> {
    Ok(length)
}

#[retry(max = attempts, strategy = |attempts| Duration::from_secs(attempts.into()))]
fn e(attempts: u64) -> Result<u64, Error> {
    Ok(attempts)
}

#[retry(strategy = |attempts| Duration::from_secs(attempts.into()))]
fn its_own_parameter(attempts: u64) -> Result<u64, Error> {
    Ok(attempts)
}

fn main() {
    let _ = (a(Duration::ZERO), b(Duration::ZERO), c(1), d(Duration::ZERO), e(1));
    let _ = its_own_parameter(1);
}
// 5 mistakes
