//! Functions whose arguments are owned, as `#[timeout]` needs to move them to another thread.

use std::fmt::Display;
use std::sync::Arc;

use premier::{cache, circuit_breaker, concurrency, retry, throttle, timeout};

use super::{AppResult, Failure};

/// Sync functions that own their arguments.
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
            /// A doc comment must stay on the function.
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
            fn sync_functions_return_what_their_bodies_do() {
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
