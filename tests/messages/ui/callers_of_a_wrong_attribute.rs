//! The error of the attribute is the only one: the item keeps the output that it would have had.
use premier::{Error, cache, throttle, timeout};

#[throttle(quota = 3)]
fn infallible(n: u32) -> u32 {
    if n > 1 {
        return n;
    }
    1
}

#[timeout(50ms)]
async fn asynchronous(n: u32) -> Vec<u32> {
    if n > 1 {
        return Vec::new();
    }
    vec![n]
}

#[throttle(rate = "1/s", key = )]
fn fallible(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[throttle(quota = 0, duration = 1, on_reject = |_| 0)]
fn with_a_substitute(n: u32) -> u32 {
    n
}

#[cache(ttl = 0)]
#[throttle(rate = "1/s")]
fn two(n: u32) -> u32 {
    n
}

async fn callers() -> Result<u32, Error> {
    let sum = infallible(1)? + fallible(2)? + with_a_substitute(3) + two(4).unwrap_or(5);
    match asynchronous(1).await {
        Ok(list) => Ok(sum + list[0]),
        Err(error) => Err(error),
    }
}

fn main() {
    drop(callers());
}
// 5 mistakes
