//! Attributes that are imported only to be used below another attribute, on bodies with inner
//! attributes such as `#![allow]`.

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
async fn attributes_used_below_another_attribute_count_as_used() {
    assert_eq!(one().unwrap(), 1);
    assert_eq!(two::two().await.unwrap(), 2);
}
