//! Attributes work on code that is unusual but legal.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all)]
#![allow(clippy::boxed_local, clippy::unused_async)]

use std::pin::Pin;

/// Names that expansions must not resolve to.
mod shadows {
    #![allow(dead_code, non_camel_case_types, clippy::upper_case_acronyms)]

    struct Ok;
    struct Err;
    struct Some;
    struct None;
    struct Option;
    struct Box;
    struct String;
    struct Error;
    mod core {}
    mod std {}
    mod alloc {}

    pub(super) fn key() {}
    pub(super) fn once() {}
    pub(super) fn __premier_outcome() {}

    #[premier::cache(key = value)]
    #[premier::retry(max = 2, base = 0)]
    #[premier::circuit_breaker]
    #[premier::concurrency(limit = 10)]
    #[premier::timeout(60)]
    #[premier::throttle(rate = "1000/s", key = value)]
    pub(super) fn sync(value: u32) -> ::std::result::Result<u32, premier::Error> {
        key();
        once();
        __premier_outcome();
        ::std::result::Result::Ok(value)
    }

    #[premier::cache(key = value)]
    #[premier::retry(max = 2, base = 0)]
    #[premier::circuit_breaker]
    #[premier::concurrency(limit = 10)]
    #[premier::timeout(60)]
    #[premier::throttle(rate = "1000/s", key = value)]
    pub(super) async fn tasks(value: u32) -> ::std::result::Result<u32, premier::Error> {
        ::std::result::Result::Ok(value)
    }
}

/// Functions and arguments with the names of attributes.
mod namesakes {
    #[premier::retry(max = 2, base = 0)]
    #[premier::timeout(60)]
    #[premier::throttle(rate = "1000/s")]
    pub(super) fn retry(cache: u32) -> Result<u32, premier::Error> {
        let (throttle, timeout) = (cache, 1);
        Ok(throttle + timeout)
    }
}

macro_rules! declared {
    ($name:ident, $argument:ident: $kind:ty, $output:ty, $rate:expr, $key:expr, $body:block) => {
        #[premier::retry(max = 2, base = 0)]
        #[premier::throttle(rate = $rate, key = $key)]
        fn $name($argument: $kind) -> $output $body
    };
}
declared!(declared, value: &str, Result<usize, premier::Error>, "1000/s", value, { Ok(value.len()) });

struct Machine {
    steps: u32,
    closed: bool,
}

impl Machine {
    #[premier::retry(max = 3, base = 0)]
    #[premier::throttle(rate = "1000/s")]
    async fn step(&mut self) -> Result<u32, premier::Error> {
        self.steps += 1;
        std::future::ready(()).await;
        Ok(self.steps)
    }

    /// The body uses `self` in a format string and in a closure.
    #[premier::retry(max = 3, base = 0)]
    fn formatted(&mut self) -> Result<String, premier::Error> {
        self.steps += 1;
        let format = || format!("{} {}", self.steps, self.closed);
        Ok(format())
    }

    #[premier::throttle(rate = "1000/s")]
    #[premier::concurrency(limit = 3)]
    fn boxed(self: Box<Self>) -> Result<u32, premier::Error> {
        Ok(self.steps)
    }

    #[premier::throttle(rate = "1000/s")]
    #[premier::timeout(60)]
    async fn pinned(self: Pin<&mut Self>) -> Result<u32, premier::Error> {
        Ok(self.steps)
    }

    #[premier::retry(max = 3, base = 0)]
    #[premier::timeout(60)]
    async fn closed(mut self: std::sync::Arc<Self>) -> Result<bool, premier::Error> {
        if let Some(inner) = std::sync::Arc::get_mut(&mut self) {
            inner.closed = true;
        }
        Ok(self.closed)
    }
}

trait Service {
    #[premier::retry(max = 2, base = 0)]
    #[premier::throttle(rate = "1000/s")]
    fn call(&self) -> Result<&'static str, premier::Error> {
        Ok("by default")
    }
}

impl Service for Machine {}

#[async_trait::async_trait(?Send)]
trait Local {
    async fn local(&self, list: Vec<u32>) -> Result<usize, premier::Error>;
}

#[async_trait::async_trait(?Send)]
impl Local for Machine {
    #[premier::retry(max = 2, base = 0)]
    #[premier::throttle(rate = "1000/s", key = list.len())]
    async fn local(&self, list: Vec<u32>) -> Result<usize, premier::Error> {
        let shared = std::rc::Rc::new(list);
        std::future::ready(()).await;
        Ok(shared.len())
    }
}

/// Compiled in no build.
#[premier::retry(max = 2, base = 0)]
#[premier::throttle(rate = "1000/s")]
fn conditional(
    value: u32,
    #[cfg(any())] _missing: Missing,
    #[allow(unused_variables)] unused: u32,
) -> Result<u32, premier::Error> {
    Ok(value)
}

/// A cached function that calls itself with another key.
#[premier::cache]
fn fibonacci(nth: u64) -> u64 {
    if nth < 2 {
        return nth;
    }
    fibonacci(nth - 1) + fibonacci(nth - 2)
}

/// `return` and `?` inside a closure or an async block must leave only that.
#[premier::retry(max = 2, base = 0)]
#[premier::timeout(60)]
#[premier::throttle(rate = "1000/s", keymaker = |list| {
    let first = |list: &[u32]| -> Option<u32> { Some(*list.first()?) };
    first(list).unwrap_or(0)
})]
async fn inner_returns(list: Vec<u32>) -> Result<u32, premier::Error> {
    let even = |number: u32| {
        if number.is_multiple_of(2) {
            return Some(number);
        }
        None
    };
    let block = async {
        let number = list.first().copied()?;
        even(number)
    };
    Ok(block.await.unwrap_or(7))
}

#[tokio::test]
async fn unusual_functions_return_what_their_bodies_do() {
    assert_eq!(shadows::sync(1).unwrap(), 1);
    assert_eq!(shadows::tasks(1).await.unwrap(), 1);
    assert_eq!(namesakes::retry(1).unwrap(), 2);
    assert_eq!(declared("abc").unwrap(), 3);
    let mut machine = Machine {
        steps: 0,
        closed: false,
    };
    assert_eq!(machine.step().await.unwrap(), 1);
    assert_eq!(machine.formatted().unwrap(), "2 false");
    assert_eq!(machine.call().unwrap(), "by default");
    assert_eq!(machine.local(vec![1, 2]).await.unwrap(), 2);
    assert_eq!(Pin::new(&mut machine).pinned().await.unwrap(), 2);
    assert_eq!(Box::new(machine).boxed().unwrap(), 2);
    let machine = std::sync::Arc::new(Machine {
        steps: 0,
        closed: false,
    });
    // The first attempt has a clone of the `Arc`, so it is not the only owner.
    assert!(!machine.closed().await.unwrap());
    assert_eq!(conditional(1, 2).unwrap(), 1);
    assert_eq!(fibonacci(80), 23_416_728_348_467_685);
    assert_eq!(inner_returns(vec![4]).await.unwrap(), 4);
    assert_eq!(inner_returns(vec![5]).await.unwrap(), 7);
}

/// Literal keys without a type: they are `i32`.
mod literal_keys {
    #[premier::throttle(rate = "1/min", key = if vip { 1 } else { 2 })]
    pub(super) fn by_choice(vip: bool) -> Result<(), premier::Error> {
        let _ = vip;
        Ok(())
    }

    #[premier::cache(keymaker = |vip| match vip { true => 1, false => -2 })]
    pub(super) fn by_match(vip: bool) -> u32 {
        u32::from(vip)
    }

    #[premier::throttle(rate = "1/min", key = 1)]
    pub(super) async fn by_one() -> Result<(), premier::Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_literal_may_be_a_key() {
    use literal_keys::{by_choice, by_match, by_one};

    assert!(by_choice(true).is_ok() && by_choice(false).is_ok() && by_choice(true).is_err());
    assert_eq!((by_match(true), by_match(false), by_match(true)), (1, 0, 1));
    assert!(by_one().await.is_ok() && by_one().await.is_err());
}
