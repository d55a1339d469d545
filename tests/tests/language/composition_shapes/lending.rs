//! Functions whose result borrows from an argument.

use premier::{circuit_breaker, concurrency, retry, throttle};

use super::{AppResult, send};

/// Sync and async functions whose result borrows from an argument.
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
            async fn lending_functions_return_what_their_bodies_do() {
                assert_eq!(first("abc", ""), Ok("a"));
                let service = Service { name: "s".into(), count: 0 };
                assert_eq!(service.name(), Ok("s"));
                assert_eq!(send(service.name_async()).await.unwrap(), "s");
                assert_eq!(service.count, 0);
            }
        }
    };
}

lending!(lending_retry: #[retry(max = 2, base = 0)]);
lending!(lending_throttle: #[throttle(rate = "1000/s")]);
lending!(lending_breaker: #[circuit_breaker]);
lending!(lending_concurrency: #[concurrency(limit = 10)]);
lending!(lending_all:
    #[retry(max = 2, base = 0)]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[throttle(rate = "1000/s")]);
