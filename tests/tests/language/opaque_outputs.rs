//! Functions whose output contains `impl Trait`, which attributes wrap or look into.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(clippy::unused_async)]

use std::future::Future;

use premier::{Error, circuit_breaker, concurrency, retry, throttle, timeout};

#[timeout(60)]
async fn task(end: u32) -> impl Iterator<Item = u32> {
    0..end
}

#[timeout(60)]
fn worker(end: u32) -> impl Iterator<Item = u32> {
    0..end
}

#[retry(max = 2, base = 0)]
#[circuit_breaker]
#[concurrency(limit = 10)]
#[throttle(rate = "1000/s")]
#[timeout(60)]
async fn below_many(end: u32) -> (u32, impl Iterator<Item = u32>) {
    (end, 0..end)
}

#[timeout(60)]
#[allow(clippy::manual_async_fn)]
fn future(end: u32) -> impl Future<Output = impl Iterator<Item = u32>> {
    async move { 0..end }
}

#[retry(max = 2, base = 0, on = Error::Timeout { .. })]
fn in_a_result(end: u32) -> Result<impl Iterator<Item = u32>, Error> {
    if end == 0 {
        return Ok(0..1);
    }
    Ok(0..end)
}

struct Numbers(u32);

impl Numbers {
    #[timeout(60)]
    async fn method(&self) -> impl Iterator<Item = u32> {
        0..self.0
    }
}

#[tokio::test]
async fn a_wrapped_output_may_contain_impl_trait() {
    assert_eq!(task(3).await.unwrap().sum::<u32>(), 3);
    assert_eq!(worker(3).unwrap().sum::<u32>(), 3);
    assert_eq!(below_many(3).await.unwrap().1.sum::<u32>(), 3);
    assert_eq!(future(3).await.unwrap().sum::<u32>(), 3);
    assert_eq!(Numbers(3).method().await.unwrap().sum::<u32>(), 3);
}

#[test]
fn a_result_may_contain_impl_trait() {
    assert_eq!(in_a_result(3).unwrap().sum::<u32>(), 3);
}
