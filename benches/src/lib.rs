//! The functions that are measured, with premier's attributes. `benches/peers.rs` measures time beside the
//! peers, `bin/instructions.rs` counts instructions. Functions are `#[inline]`, as if they were in the crate of their
//! caller.
#![allow(missing_docs, reason = "a function is what its attribute says")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The output of a future that is ready at its first poll.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it is not to wait"),
    }
}

/// Functions with `#[throttle]` and no key.
pub mod keyless {
    use premier::throttle;

    #[throttle(algo = "token_bucket", rate = "1000000000/s")]
    #[inline]
    pub fn full() {}

    #[throttle(algo = "token_bucket", rate = "1/s", burst = 4_294_967_296)]
    #[inline]
    pub fn in_use() {}

    #[throttle(algo = "fixed_window", rate = "4294967295/h")]
    #[inline]
    pub fn fixed_window() {}

    #[throttle(algo = "sliding_window", rate = "4294967295/h")]
    #[inline]
    pub fn sliding_window() {}

    #[throttle(algo = "leaky_bucket", rate = "1000000000/s")]
    #[inline]
    pub fn leaky_bucket() {}

    #[throttle(algo = "sliding_log", quota = 100_000, duration = "100us")]
    #[inline]
    pub fn sliding_log() {}

    #[throttle(algo = "token_bucket", rate = "1/d")]
    #[inline]
    pub fn shut() -> Result<(), premier::Error> {
        Ok(())
    }

    #[throttle(algo = "token_bucket", rate = "1000000000/s")]
    #[inline]
    pub async fn full_async() {}

    #[throttle(algo = "token_bucket", rate = "1000000000/s", key = key)]
    #[inline]
    pub fn by_text(key: &str) {
        let _ = key;
    }

    #[throttle(algo = "token_bucket", rate = "1000000000/s", key = key)]
    #[inline]
    pub fn by_number(key: u64) {
        let _ = key;
    }
}

/// Functions with `#[retry]` and `#[timeout]`.
pub mod retried {
    use premier::{retry, timeout};

    #[retry(max = 3)]
    #[inline]
    pub fn sync(number: u64) -> Result<u64, &'static str> {
        Ok(number)
    }

    #[retry(max = 3)]
    #[inline]
    pub async fn tasks(number: u64) -> Result<u64, &'static str> {
        Ok(number)
    }

    #[timeout(60)]
    #[inline]
    pub async fn timed(number: u64) -> Result<u64, premier::Error> {
        Ok(number)
    }
}

/// Functions with `#[circuit_breaker]`.
pub mod guarded {
    use premier::circuit_breaker;

    /// The circuit is open. As small as the errors of the peers.
    #[derive(Debug)]
    pub struct Open;

    impl From<premier::Error> for Open {
        fn from(_: premier::Error) -> Self {
            Self
        }
    }

    #[circuit_breaker]
    #[inline]
    pub fn by_rate(number: u64) -> Result<u64, Open> {
        Ok(number)
    }

    #[circuit_breaker(failures = 5)]
    #[inline]
    pub fn by_count(number: u64) -> Result<u64, Open> {
        Ok(number)
    }

    #[circuit_breaker(slow_rate = 0.8)]
    #[inline]
    pub fn timed(number: u64) -> Result<u64, Open> {
        Ok(number)
    }

    #[circuit_breaker(key = key)]
    #[inline]
    pub fn by_key(key: &str, number: u64) -> Result<u64, Open> {
        let _ = key;
        Ok(number)
    }

    #[circuit_breaker]
    #[inline]
    pub async fn tasks(number: u64) -> Result<u64, Open> {
        Ok(number)
    }
}

/// Cached functions.
pub mod cached {
    use premier::cache;

    #[cache(capacity = 100_000)]
    #[inline]
    pub fn by_number(key: u64) -> u64 {
        key + 1
    }

    #[cache(capacity = 100_000, key = key)]
    #[inline]
    pub fn by_text(key: &str) -> u64 {
        key.len() as u64
    }
}
