//! Attributes on methods that `#[async_trait]` has rewritten before, and above `#[instrument]`.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(clippy::unused_self)]

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

#[async_trait]
trait Store {
    async fn key_of_a_part(&self, pair: (u32, u32)) -> Result<u32, Error>;
    async fn cost_of_a_part(&self, pair: (u32, u64)) -> Result<u32, Error>;
    async fn cached_by_parts(&self, pair: (u32, u32), other: &(u32, String)) -> usize;
    async fn instrumented(&self, id: &str) -> Result<String, Error>;
    async fn instrumented_below_many(&mut self, id: u32) -> Result<u32, Error>;
}

struct Memory;

#[async_trait]
impl Store for Memory {
    #[throttle(quota = 1, duration = "1h", key = user)]
    async fn key_of_a_part(&self, (user, page): (u32, u32)) -> Result<u32, Error> {
        Ok(user + page)
    }

    #[throttle(quota = 10, duration = "1h", cost = cost)]
    async fn cost_of_a_part(&self, (user, cost): (u32, u64)) -> Result<u32, Error> {
        let _ = cost;
        Ok(user)
    }

    #[cache(key = "{user}:{name}")]
    async fn cached_by_parts(
        &self,
        (user, mut page): (u32, u32),
        (_, name): &(u32, String),
    ) -> usize {
        page += user;
        page as usize + name.len()
    }

    #[throttle(rate = "100/s", key = id)]
    #[tracing::instrument(skip(self), err, ret)]
    async fn instrumented(&self, id: &str) -> Result<String, Error> {
        Ok(id.to_owned())
    }

    #[cache(key = id)]
    #[retry(max = 2, base = 0)]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[timeout(60)]
    #[tracing::instrument(skip(self), err(Debug), ret(Display))]
    async fn instrumented_below_many(&mut self, id: u32) -> Result<u32, Error> {
        Ok(id)
    }
}

#[retry(max = 2, base = 0)]
#[tracing::instrument(err, ret)]
fn instrumented_block(id: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    Box::pin(async move { Ok(id) })
}

#[retry(max = 2, base = 0)]
#[tracing::instrument(err, ret)]
fn instrumented_future(id: u32) -> impl Future<Output = Result<u32, Error>> + Send {
    async move { Ok(id) }
}

#[throttle(rate = "100/s")]
#[tracing::instrument(err, ret)]
fn instrumented_throttled_future(id: u32) -> impl Future<Output = Result<u32, Error>> + Send {
    async move { Ok(id) }
}

#[tokio::test]
async fn a_key_names_the_parts_of_an_argument() {
    assert_eq!(Memory.key_of_a_part((1, 1)).await.unwrap(), 2);
    assert_eq!(Memory.key_of_a_part((2, 1)).await.unwrap(), 3);
    Memory.key_of_a_part((1, 2)).await.unwrap_err();
}

#[tokio::test]
async fn a_cost_names_the_parts_of_an_argument() {
    Memory.cost_of_a_part((1, 9)).await.unwrap();
    Memory.cost_of_a_part((1, 2)).await.unwrap_err();
    Memory.cost_of_a_part((1, 1)).await.unwrap();
}

#[tokio::test]
async fn the_key_of_a_cache_names_the_parts_of_all_arguments() {
    let (a, b) = (&(0, "a".to_owned()), &(0, "bc".to_owned()));
    assert_eq!(Memory.cached_by_parts((1, 1), a).await, 3);
    assert_eq!(Memory.cached_by_parts((1, 5), a).await, 3);
    assert_eq!(Memory.cached_by_parts((1, 5), b).await, 8);
}

#[tokio::test]
async fn instrument_may_be_below_an_attribute() {
    assert_eq!(Memory.instrumented("a").await.unwrap(), "a");
    assert_eq!(Memory.instrumented_below_many(1).await.unwrap(), 1);
    assert_eq!(instrumented_block(1).await.unwrap(), 1);
    assert_eq!(instrumented_future(1).await.unwrap(), 1);
    assert_eq!(instrumented_throttled_future(1).await.unwrap(), 1);
}
