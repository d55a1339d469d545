//! Every attribute, and all of them at once, on every shape of function there is. That it compiles
//! without a warning is half of the test; that each still does what it did is the other.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
// These lints are about the test's own functions.
#![allow(
    clippy::future_not_send,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_async,
    clippy::unused_self
)]

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

type AppResult<T> = Result<T, Failure>;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Failure(String);

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::num::ParseIntError> for Failure {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(error.to_string())
    }
}

fn send<T: Send>(value: T) -> T {
    value
}

/// `Send` and not `Sync`: a reference to it held across an await would not be `Send`.
#[derive(Clone, Debug)]
struct NotSync(std::cell::Cell<u32>);

macro_rules! service {
    () => {
        #[derive(Clone, Debug)]
        struct Service {
            name: String,
            count: u32,
        }
    };
}

#[async_trait::async_trait]
trait Fetch {
    async fn shared(&self, id: u32) -> AppResult<String>;
    async fn exclusive(&mut self, id: u32) -> AppResult<u32>;
    async fn parts(&self, pair: (u32, u32), name: &str) -> AppResult<String>;
    async fn counted(self: Arc<Self>) -> AppResult<u32>;
}

trait Native {
    fn borrowed(&self, id: u32) -> impl Future<Output = AppResult<String>> + Send;
}

/// Functions whose arguments can go to another thread.
macro_rules! owned {
    ($name:ident: $($attributes:tt)*) => {
        mod $name {
            use super::*;
            service!();

            $($attributes)*
            fn free() -> AppResult<u32> {
                Ok(1)
            }

            $($attributes)*
            #[must_use = "it is what was asked for"]
            /// With a doc comment.
            fn parsed(text: String) -> AppResult<u32> {
                let number: u32 = text.parse()?;
                if number > 9 {
                    return Err(Failure("too large".into()));
                }
                Ok(number)
            }

            $($attributes)*
            fn patterns((left, mut right): (u32, u32), mut list: Vec<u32>, _: u8) -> AppResult<u32> {
                right += 1;
                list.push(left);
                Ok(list.into_iter().sum::<u32>() + right)
            }

            $($attributes)*
            fn generic<T, const N: usize>(value: T) -> AppResult<String>
            where
                T: Display + Clone + Send + 'static,
            {
                Ok(format!("{value}{N}"))
            }

            $($attributes)*
            fn impl_argument(value: impl Into<String> + Clone + Send + 'static) -> AppResult<String> {
                Ok(value.into())
            }

            $($attributes)*
            fn coerced(number: u32) -> AppResult<Arc<dyn Display + Send + Sync>> {
                if number == 0 {
                    return Ok(Arc::new("none"));
                }
                Ok(Arc::new(number))
            }

            impl Service {
                $($attributes)*
                fn by_value(self, more: u32) -> AppResult<String> {
                    let Self { name, count } = self;
                    Ok(format!("{name}{}", count + more))
                }

                $($attributes)*
                fn counted(self: Arc<Self>) -> AppResult<u32> {
                    let moved = self;
                    Ok(moved.count)
                }

                $($attributes)*
                fn made(count: u32) -> AppResult<Self> {
                    Ok(Self { name: String::new(), count })
                }
            }

            #[test]
            fn sync_functions() {
                assert_eq!(free(), Ok(1));
                assert_eq!(parsed("7".into()), Ok(7));
                assert_eq!(patterns((1, 2), vec![3], 0), Ok(7));
                assert_eq!(generic::<_, 3>('x').as_deref(), Ok("x3"));
                assert_eq!(impl_argument("y").as_deref(), Ok("y"));
                assert_eq!(coerced(5).unwrap().to_string(), "5");
                let service = Service { name: "s".into(), count: 4 };
                assert_eq!(service.clone().by_value(1).as_deref(), Ok("s5"));
                assert_eq!(Arc::new(service).counted(), Ok(4));
                assert_eq!(Service::made(2).unwrap().count, 2);
            }
        }
    };
}

/// Functions that borrow.
macro_rules! borrowing {
    ($name:ident: $($attributes:tt)*) => {
        mod $name {
            use super::*;
            service!();

            impl Service {
                $($attributes)*
                fn shared(&self, more: &str) -> AppResult<String> {
                    Ok(format!("{}{more}", self.name))
                }

                $($attributes)*
                fn exclusive(&mut self, log: &mut Vec<u32>) -> AppResult<u32> {
                    self.count += 1;
                    log.push(self.count);
                    Ok(self.count)
                }
            }

            $($attributes)*
            fn sum(numbers: &[u32], (first, &second): (u32, &u32)) -> AppResult<u32> {
                Ok(numbers.iter().sum::<u32>() + first + second)
            }

            #[test]
            fn borrowing_functions() {
                let mut service = Service { name: "s".into(), count: 0 };
                let mut log = Vec::new();
                assert_eq!(service.shared("x").as_deref(), Ok("sx"));
                assert_eq!(service.exclusive(&mut log), Ok(1));
                assert_eq!(log, [1]);
                assert_eq!(sum(&[1, 2], (3, &4)), Ok(10));
            }
        }
    };
}

/// Functions whose result borrows from an argument.
macro_rules! lending {
    ($name:ident: $($attributes:tt)*) => {
        mod $name {
            use super::*;
            service!();

            $($attributes)*
            fn first<'a>(text: &'a str, _other: &str) -> AppResult<&'a str> {
                Ok(&text[..1])
            }

            impl Service {
                $($attributes)*
                fn name(&self) -> AppResult<&str> {
                    Ok(&self.name)
                }

                $($attributes)*
                async fn name_async(&self) -> AppResult<&String> {
                    tokio::task::yield_now().await;
                    Ok(&self.name)
                }
            }

            #[tokio::test]
            async fn lending_functions() {
                assert_eq!(first("abc", ""), Ok("a"));
                let service = Service { name: "s".into(), count: 0 };
                assert_eq!(service.name(), Ok("s"));
                assert_eq!(send(service.name_async()).await.unwrap(), "s");
                assert_eq!(service.count, 0);
            }
        }
    };
}

macro_rules! asynchronous {
    ($name:ident: $($attributes:tt)*) => {
        mod $name {
            use super::*;
            service!();

            $($attributes)*
            async fn free(text: String, numbers: &[u32]) -> AppResult<u32> {
                tokio::task::yield_now().await;
                let number: u32 = text.parse()?;
                if number > 9 {
                    return Err(Failure("too large".into()));
                }
                Ok(numbers.iter().sum::<u32>() + number)
            }

            $($attributes)*
            async fn not_sync(value: NotSync) -> AppResult<u32> {
                tokio::task::yield_now().await;
                Ok(value.0.get())
            }

            $($attributes)*
            async fn patterns((left, mut right): (u32, u32), mut list: Vec<u32>) -> AppResult<u32> {
                right += 1;
                list.push(left);
                tokio::task::yield_now().await;
                Ok(list.into_iter().sum::<u32>() + right)
            }

            $($attributes)*
            async fn generic<T: Display + Clone + Send>(value: T) -> AppResult<String> {
                tokio::task::yield_now().await;
                Ok(format!("{value}"))
            }

            $($attributes)*
            async fn coerced(number: u32) -> AppResult<Arc<dyn Display + Send + Sync>> {
                if number == 0 {
                    return Ok(Arc::new("none"));
                }
                Ok(Arc::new(number))
            }

            $($attributes)*
            fn future(number: u32) -> impl Future<Output = AppResult<u32>> + Send {
                let more = number + 1;
                async move { Ok(more) }
            }

            $($attributes)*
            fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = AppResult<usize>> + Send + 'a>> {
                if text.is_empty() {
                    return Box::pin(std::future::ready(Ok(0)));
                }
                Box::pin(async move { Ok(text.len()) })
            }

            impl Service {
                $($attributes)*
                async fn shared(&self, more: &str) -> AppResult<String> {
                    tokio::task::yield_now().await;
                    Ok(format!("{}{more}", self.name))
                }

                $($attributes)*
                async fn exclusive(&mut self, log: &mut Vec<u32>) -> AppResult<u32> {
                    self.count += 1;
                    tokio::task::yield_now().await;
                    log.push(self.count);
                    Ok(self.count)
                }

                $($attributes)*
                async fn by_value(self) -> AppResult<String> {
                    tokio::task::yield_now().await;
                    Ok(self.name)
                }

                $($attributes)*
                async fn counted(self: Arc<Self>) -> AppResult<u32> {
                    let moved = self;
                    tokio::task::yield_now().await;
                    Ok(moved.count)
                }
            }

            struct Remote(Service);

            #[async_trait::async_trait]
            impl Fetch for Remote {
                $($attributes)*
                async fn shared(&self, id: u32) -> AppResult<String> {
                    tokio::task::yield_now().await;
                    Ok(format!("{}{id}", self.0.name))
                }

                $($attributes)*
                async fn exclusive(&mut self, id: u32) -> AppResult<u32> {
                    self.0.count += id;
                    tokio::task::yield_now().await;
                    Ok(self.0.count)
                }

                $($attributes)*
                async fn parts(&self, (left, right): (u32, u32), name: &str) -> AppResult<String> {
                    tokio::task::yield_now().await;
                    Ok(format!("{left}{right}{name}"))
                }

                $($attributes)*
                async fn counted(self: Arc<Self>) -> AppResult<u32> {
                    Ok(self.0.count)
                }
            }

            impl Native for Remote {
                $($attributes)*
                async fn borrowed(&self, id: u32) -> AppResult<String> {
                    tokio::task::yield_now().await;
                    Ok(format!("{}{id}", self.0.name))
                }
            }

            #[tokio::test]
            async fn async_functions() {
                assert_eq!(send(free("7".into(), &[1, 2])).await, Ok(10));
                let value = NotSync(std::cell::Cell::new(3));
                assert_eq!(send(not_sync(value)).await, Ok(3));
                assert_eq!(send(patterns((1, 2), vec![3])).await, Ok(7));
                assert_eq!(send(generic(5)).await.as_deref(), Ok("5"));
                assert_eq!(send(coerced(5)).await.unwrap().to_string(), "5");
                assert_eq!(send(future(5)).await, Ok(6));
                assert_eq!(send(boxed("abc")).await, Ok(3));
                let mut service = Service { name: "s".into(), count: 0 };
                assert_eq!(send(service.shared("x")).await.as_deref(), Ok("sx"));
                let mut log = Vec::new();
                assert_eq!(send(service.exclusive(&mut log)).await, Ok(1));
                assert_eq!(log, [1]);
                assert_eq!(send(service.clone().by_value()).await.as_deref(), Ok("s"));
                assert_eq!(send(Arc::new(service.clone()).counted()).await, Ok(1));
                let mut remote = Remote(service);
                assert_eq!(Fetch::shared(&remote, 1).await.as_deref(), Ok("s1"));
                assert_eq!(remote.exclusive(2).await, Ok(3));
                assert_eq!(remote.parts((1, 2), "x").await.as_deref(), Ok("12x"));
                assert_eq!(send(remote.borrowed(4)).await.as_deref(), Ok("s4"));
                assert_eq!(Arc::new(remote).counted().await, Ok(3));
            }
        }
    };
}

/// What an attribute refuses, the function has to be able to say.
macro_rules! infallible {
    ($name:ident: $($attributes:tt)*) => {
        mod $name {
            use super::*;

            $($attributes)*
            fn unit() {}

            $($attributes)*
            fn early(early: bool) -> u32 {
                if early {
                    return 1;
                }
                2
            }

            $($attributes)*
            fn coerced(number: u32) -> Box<dyn Display + Send> {
                Box::new(number)
            }

            $($attributes)*
            async fn unit_async() {
                tokio::task::yield_now().await;
            }

            $($attributes)*
            async fn coerced_async(number: u32) -> Box<dyn Display + Send> {
                if number == 0 {
                    return Box::new("none");
                }
                Box::new(number)
            }

            $($attributes)*
            async fn function_pointer(twice: bool) -> fn(u32) -> u32 {
                fn double(number: u32) -> u32 {
                    number * 2
                }
                if twice { double } else { |number| number }
            }

            #[tokio::test]
            async fn infallible_functions() {
                assert!(unit().is_ok());
                assert_eq!(early(true).unwrap(), 1);
                assert_eq!(coerced(3).unwrap().to_string(), "3");
                assert!(send(unit_async()).await.is_ok());
                assert_eq!(send(coerced_async(3)).await.unwrap().to_string(), "3");
                assert_eq!(send(function_pointer(true)).await.unwrap()(4), 8);
            }
        }
    };
}

owned!(owned_retry: #[retry(max = 2, base = 0)]);
owned!(owned_throttle: #[throttle(rate = "1000/s")]);
owned!(owned_timeout: #[timeout(60)]);
owned!(owned_cache: #[cache(key = "k")]);
owned!(owned_breaker: #[circuit_breaker]);
owned!(owned_concurrency: #[concurrency(limit = 10)]);
owned!(owned_all:
    #[cache(ttl = 60, key = "k")]
    #[retry(max = 2, base = 0, on = Failure(text) if text.is_empty(), on_retry = |event| assert!(event.delay.is_zero()))]
    #[circuit_breaker(failures = 5, within = "10s", open_for = "30s", half_open = 1)]
    #[concurrency(limit = 10, wait = "1s")]
    #[timeout(60)]
    #[throttle(rate = "1000/s", algo = "token_bucket")]);
owned!(owned_all_inside_out:
    #[throttle(rate = "1000/s")]
    #[timeout("1m")]
    #[concurrency(limit = 10)]
    #[circuit_breaker]
    #[retry(when = |error| error.0.is_empty(), jitter = "none", strategy = [0, 0])]
    #[cache(key = "k")]);

borrowing!(borrowing_retry: #[retry(max = 2, base = 0)]);
borrowing!(borrowing_throttle: #[throttle(rate = "1000/s")]);
borrowing!(borrowing_cache: #[cache(key = "k")]);
borrowing!(borrowing_breaker: #[circuit_breaker]);
borrowing!(borrowing_concurrency: #[concurrency(limit = 10)]);
borrowing!(borrowing_all:
    #[cache(ttl = 60, key = "k")]
    #[retry(max = 2, base = 0)]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[throttle(rate = "1000/s")]);
borrowing!(borrowing_all_inside_out:
    #[throttle(rate = "1000/s")]
    #[concurrency(limit = 10)]
    #[circuit_breaker]
    #[retry(max = 2, base = 0)]
    #[cache(ttl = 60, key = "k")]);

lending!(lending_retry: #[retry(max = 2, base = 0)]);
lending!(lending_throttle: #[throttle(rate = "1000/s")]);
lending!(lending_breaker: #[circuit_breaker]);
lending!(lending_concurrency: #[concurrency(limit = 10)]);
lending!(lending_all:
    #[retry(max = 2, base = 0)]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[throttle(rate = "1000/s")]);

asynchronous!(async_retry: #[retry(max = 2, base = 0)]);
asynchronous!(async_throttle: #[throttle(rate = "1000/s")]);
asynchronous!(async_timeout: #[timeout(60)]);
asynchronous!(async_cache: #[cache(key = "k")]);
asynchronous!(async_breaker: #[circuit_breaker]);
asynchronous!(async_concurrency: #[concurrency(limit = 10)]);
asynchronous!(async_all:
    #[cache(ttl = 60, key = "k")]
    #[retry(max = 2, base = 0)]
    #[circuit_breaker]
    #[concurrency(limit = 10, wait)]
    #[timeout(60)]
    #[throttle(rate = "1000/s", wait)]);
asynchronous!(async_all_inside_out:
    #[throttle(rate = "1000/s")]
    #[timeout(60)]
    #[concurrency(limit = 10)]
    #[circuit_breaker]
    #[retry(max = 2, base = 0)]
    #[cache(ttl = 60, key = "k")]);
asynchronous!(async_retries_of_retries:
    #[retry(max = 2, base = 0)]
    #[timeout(60)]
    #[premier::retry(max = 2, base = 0)]
    #[throttle(rate = "1000/s")]
    #[::premier::throttle(rate = "1000/s")]);

infallible!(infallible_throttle: #[throttle(rate = "1000/s")]);
infallible!(infallible_timeout: #[timeout(60)]);
infallible!(infallible_concurrency: #[concurrency(limit = 10)]);
infallible!(infallible_all:
    #[retry(max = 2, base = 0, on = Error::QuotaExceeded { .. })]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[timeout(60)]
    #[throttle(rate = "1000/s")]);

/// Imported only for use below another attribute, and with an attribute inside the body.
mod imported {
    use premier::{cache, circuit_breaker, concurrency, retry, throttle, timeout};

    #[cache(key = "k")]
    #[retry(max = 2, base = 0)]
    #[premier::throttle(rate = "1000/s")]
    fn one() -> Result<u32, premier::Error> {
        #![allow(unused_variables)]
        let unused = 1;
        Ok(1)
    }

    mod two {
        use super::{circuit_breaker, concurrency, retry, throttle, timeout};

        #[concurrency(limit = 10)]
        #[circuit_breaker]
        #[retry]
        #[timeout(60)]
        #[throttle(rate = "1000/s")]
        pub(super) async fn two() -> Result<u32, premier::Error> {
            #![allow(unused_variables)]
            let unused = 1;
            Ok(2)
        }
    }

    #[tokio::test]
    async fn attributes_that_are_imported_count_as_used() {
        assert_eq!(one().unwrap(), 1);
        assert_eq!(two::two().await.unwrap(), 2);
    }
}

mod cached_without_a_result {
    use super::*;

    #[cache]
    fn joined(left: &str, right: u32) -> String {
        format!("{left}{right}")
    }

    #[cache(only_some)]
    async fn found(id: u32) -> Option<u32> {
        (id > 1).then_some(id)
    }

    #[tokio::test]
    async fn values_of_any_type() {
        assert_eq!(joined("a", 1), "a1");
        assert_eq!(joined("a", 1), "a1");
        assert_eq!(found(1).await, None);
        assert_eq!(found(2).await, Some(2));
    }
}
