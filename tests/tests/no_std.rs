//! Attributes in a crate without the standard library in its prelude.
#![no_std]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(clippy::unused_async)]

extern crate alloc;

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;

use premier::Error;

#[premier::cache]
#[premier::retry(max = 2, base = 0)]
#[premier::circuit_breaker]
#[premier::concurrency(limit = 10)]
#[premier::timeout(60)]
#[premier::throttle(rate = "1000/s", key = "{value}")]
fn sync(value: u32) -> Result<u32, Error> {
    Ok(value)
}

#[premier::cache]
#[premier::retry(max = 2, base = 0)]
#[premier::circuit_breaker]
#[premier::concurrency(limit = 10)]
#[premier::timeout(60)]
#[premier::throttle(rate = "1000/s", key = "{value}")]
async fn task(value: u32) -> Result<u32, Error> {
    Ok(value)
}

#[premier::throttle(rate = "1000/s")]
fn boxed_block(value: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    Box::pin(async move { Ok(value) })
}

#[premier::throttle(rate = "1000/s")]
fn boxed_future(value: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    Box::pin(task(value))
}

#[tokio::test]
async fn every_shape_of_function_compiles() {
    assert!(matches!(sync(1), Ok(1)));
    assert!(matches!(task(1).await, Ok(1)));
    assert!(matches!(boxed_block(1).await, Ok(1)));
    assert!(matches!(boxed_future(1).await, Ok(1)));
}
