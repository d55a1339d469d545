//! Functions whose return type cannot carry an error: the attribute wraps it in a `Result`.

use std::fmt::Display;

use premier::{Error, circuit_breaker, concurrency, retry, throttle, timeout};

use super::send;

/// Functions without a `Result`. Only attributes that can reject a call apply to them: these change
/// the return type to a `Result`.
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
            async fn infallible_functions_return_a_result() {
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

infallible!(infallible_throttle: #[throttle(rate = "1000/s")]);
infallible!(infallible_timeout: #[timeout(60)]);
infallible!(infallible_concurrency: #[concurrency(limit = 10)]);
infallible!(infallible_all:
    #[retry(max = 2, base = 0, on = Error::QuotaExceeded { .. })]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[timeout(60)]
    #[throttle(rate = "1000/s")]);
