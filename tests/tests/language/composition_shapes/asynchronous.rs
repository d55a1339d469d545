//! Async functions, and functions that return a future.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use premier::{cache, circuit_breaker, concurrency, retry, throttle, timeout};

use super::{AppResult, Failure, send};

/// `Send` but not `Sync`: a future that holds a reference to it across an await is not `Send`.
#[derive(Clone, Debug)]
struct NotSync(std::cell::Cell<u32>);

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

/// Async functions, and sync functions that return a future.
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
            async fn async_functions_are_send_and_return_what_their_bodies_do() {
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
