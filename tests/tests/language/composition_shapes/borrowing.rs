//! Functions that borrow their arguments.

use premier::{cache, circuit_breaker, concurrency, retry, throttle};

use super::AppResult;

/// Sync functions that borrow their arguments.
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
            fn borrowing_functions_return_what_their_bodies_do() {
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
