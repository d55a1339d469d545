//! What a refusal by one attribute, or its substitute, means to the attributes above.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{
    Error, MemoryHandler, cache, circuit_breaker, concurrency, retry, testing, throttle, timeout,
};
use premier_tests::scope;
use premier_tests::waits::{done, sleepers};

use super::freeze_time;

/// An error that keeps only the text of premier's error.
#[derive(Clone, Debug, PartialEq)]
struct Failure(String);

impl fmt::Display for Failure {
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

/// An error that contains premier's error.
#[derive(Debug)]
enum Kept {
    Own,
    Premier(Error),
}

impl From<Error> for Kept {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

fn count(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

mod substitutes {
    use super::*;

    #[cache(ttl = "1h", key = id)]
    #[throttle(algo = "token_bucket", rate = "1/h", key = "orders", on_reject = |_| Vec::new())]
    fn orders(id: u32) -> Vec<u32> {
        vec![id]
    }

    #[test]
    fn a_cache_does_not_keep_the_substitute_of_a_throttle() {
        let (scope, clock) = scope();
        scope.run(|| {
            assert_eq!(orders(1), [1]);
            assert!(orders(2).is_empty());
            clock.advance(Duration::from_secs(3_600));
            assert_eq!(orders(2), [2]);
        });
    }

    #[cache(ttl = "1h", key = id)]
    #[concurrency(limit = 1, on_reject = |_| 0)]
    async fn permitted(id: u32) -> u32 {
        if id == 0 {
            std::future::pending::<()>().await;
        }
        id
    }

    #[tokio::test]
    async fn a_cache_does_not_keep_the_substitute_of_an_async_bulkhead() {
        freeze_time();
        let holder = tokio::spawn(permitted(0));
        tokio::task::yield_now().await;
        assert_eq!(permitted(7).await, 0);
        holder.abort();
        let _ = holder.await;
        assert_eq!(permitted(7).await, 7);
    }

    #[cache(ttl = "1h", key = id)]
    #[timeout(3_600)]
    #[throttle(algo = "token_bucket", rate = "1/h", key = "on the worker", on_reject = |_| Ok(0))]
    fn on_a_worker(id: u32) -> Result<u32, Failure> {
        Ok(id)
    }

    #[test]
    fn a_substitute_made_on_a_worker_thread_is_not_kept_either() {
        let (scope, clock) = scope();
        scope.run(|| {
            assert_eq!(on_a_worker(1), Ok(1));
            assert_eq!(on_a_worker(2), Ok(0));
            clock.advance(Duration::from_secs(3_600));
            assert_eq!(on_a_worker(2), Ok(2));
        });
    }

    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

    #[retry(max = 5, base = 0)]
    #[throttle(algo = "token_bucket", rate = "1/h", on_reject = |_| { count(&ATTEMPTS); Err(Failure("substitute".into())) })]
    fn retried() -> Result<u32, Failure> {
        Ok(1)
    }

    #[test]
    fn a_substitute_is_not_tried_again() {
        freeze_time();
        assert_eq!(retried(), Ok(1));
        assert_eq!(retried(), Err(Failure("substitute".into())));
        assert_eq!(ATTEMPTS.load(Ordering::SeqCst), 1);
    }

    #[circuit_breaker(failures = 1, open_for = "1h")]
    #[throttle(algo = "token_bucket", rate = "1/m", on_reject = |_| Err(Failure("substitute".into())))]
    fn broken() -> Result<u32, Failure> {
        Ok(1)
    }

    #[test]
    fn a_substitute_does_not_open_a_breaker() {
        freeze_time();
        assert_eq!(broken(), Ok(1));
        for _ in 0..3 {
            assert_eq!(broken(), Err(Failure("substitute".into())));
        }
    }

    #[throttle(rate = "5/s", burst = 10, on_reject = |_| Vec::new())]
    fn badly_limited(id: u32) -> Vec<u32> {
        vec![id]
    }

    #[throttle(rate = "5/s", burst = 10, on_reject = |_| Ok(0))]
    fn badly_limited_result(id: u32) -> Result<u32, Failure> {
        Ok(id)
    }

    #[timeout(Duration::ZERO, on_reject = |_| 0)]
    async fn badly_timed(id: u32) -> u32 {
        id
    }

    #[test]
    fn an_invalid_limit_is_an_error_and_not_a_substitute() {
        freeze_time();
        let Failure(message) = badly_limited_result(1).unwrap_err();
        assert!(message.contains("#[throttle]") && message.contains("badly_limited_result"));
    }

    #[test]
    fn an_invalid_limit_panics_where_the_function_cannot_return_an_error() {
        freeze_time();
        let panicked = catch_unwind(|| badly_limited(1)).unwrap_err();
        let message = panicked.downcast_ref::<String>().unwrap();
        assert!(message.contains("#[throttle]") && message.contains("badly_limited"));
        let call = || futures_output(badly_timed(1));
        let panicked = catch_unwind(call).unwrap_err();
        let message = panicked.downcast_ref::<String>().unwrap();
        assert!(message.contains("#[timeout]") && message.contains("badly_timed"));
    }

    fn futures_output<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }
}

mod breakers {
    use super::*;

    #[circuit_breaker(failures = 2, open_for = "30s")]
    #[throttle(algo = "token_bucket", rate = "1/s")]
    fn refused() -> Result<u32, Failure> {
        Ok(1)
    }

    #[circuit_breaker(failures = 2, open_for = "30s")]
    #[throttle(algo = "token_bucket", rate = "1/s")]
    async fn refused_async() -> Result<u32, Failure> {
        Ok(1)
    }

    #[circuit_breaker(failures = 2, open_for = "30s")]
    #[throttle(algo = "token_bucket", rate = "1/s")]
    fn refused_boxed() -> Pin<Box<dyn Future<Output = Result<u32, Failure>> + Send>> {
        Box::pin(async { Ok(1) })
    }

    #[tokio::test]
    async fn refusals_by_a_quota_do_not_open_a_breaker() {
        freeze_time();
        assert_eq!(refused(), Ok(1));
        assert_eq!(refused_async().await, Ok(1));
        assert_eq!(refused_boxed().await, Ok(1));
        for _ in 0..5 {
            let errors = [
                refused().unwrap_err(),
                refused_async().await.unwrap_err(),
                refused_boxed().await.unwrap_err(),
            ];
            assert!(
                errors.iter().all(|error| error.0.contains("quota")),
                "{errors:?}"
            );
        }
    }

    #[throttle(algo = "token_bucket", rate = "1/s", key = "of another function")]
    fn callee() -> Result<u32, Error> {
        Ok(1)
    }

    #[circuit_breaker(failures = 2, open_for = "30s")]
    fn caller() -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        Ok(callee()?)
    }

    #[test]
    fn refusals_of_a_function_that_is_called_do_not_open_a_breaker() {
        freeze_time();
        caller().unwrap();
        for _ in 0..5 {
            let error = caller().unwrap_err().to_string();
            assert!(error.contains("quota"), "{error}");
        }
    }

    #[circuit_breaker(failures = 2, open_for = "30s", on = Kept::Premier(Error::QuotaExceeded { .. }))]
    #[throttle(algo = "token_bucket", rate = "1/m")]
    fn by_name() -> Result<u32, Kept> {
        Ok(1)
    }

    #[circuit_breaker(failures = 2, open_for = "30s", when = |error| !matches!(error, Kept::Own))]
    #[throttle(algo = "token_bucket", rate = "1/m")]
    fn by_chance() -> Result<u32, Kept> {
        Ok(1)
    }

    #[test]
    fn refusals_count_for_a_breaker_whose_filter_names_them() {
        freeze_time();
        by_name().unwrap();
        let _ = (by_name().unwrap_err(), by_name().unwrap_err());
        assert!(matches!(
            by_name(),
            Err(Kept::Premier(Error::CircuitOpen { .. }))
        ));
        by_chance().unwrap();
        for _ in 0..3 {
            let error = by_chance().unwrap_err();
            assert!(matches!(error, Kept::Premier(Error::QuotaExceeded { .. })));
        }
    }

    #[circuit_breaker(failures = 1, open_for = "30s")]
    #[timeout("10ms")]
    async fn slow() -> Result<u32, Failure> {
        std::future::pending().await
    }

    #[tokio::test]
    async fn timeouts_open_a_breaker() {
        let (scope, clock) = scope();
        let call = tokio::spawn(scope.run_async(slow()));
        tokio::task::yield_now().await;
        sleepers(&clock, 1);
        clock.advance(Duration::from_millis(10));
        let Failure(timed) = done("the timeout ends the call", call).await.unwrap_err();
        assert!(timed.contains("did not finish"), "{timed}");
        let Failure(next) = scope.run_async(slow()).await.unwrap_err();
        assert!(next.contains("circuit breaker"), "{next}");
    }
}

mod retries {
    use super::*;

    static OPENED: AtomicU32 = AtomicU32::new(0);

    #[retry(max = 10, base = 0)]
    #[circuit_breaker(failures = 2, open_for = "30s")]
    fn above_a_breaker() -> Result<u32, Failure> {
        count(&OPENED);
        Err(Failure("down".into()))
    }

    #[test]
    fn an_open_circuit_is_not_retried() {
        freeze_time();
        let Failure(message) = above_a_breaker().unwrap_err();
        assert!(message.contains("circuit breaker"), "{message}");
        assert_eq!(OPENED.load(Ordering::SeqCst), 2);
    }

    static NAMED: AtomicU32 = AtomicU32::new(0);

    /// The clock of one test, which advances before each retry.
    static MOVES: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

    #[retry(max = 4, base = 0, max_delay = "1h", on = Kept::Premier(Error::CircuitOpen { .. }), on_retry = |_| { count(&NAMED); MOVES.advance(Duration::from_secs(30)); })]
    #[circuit_breaker(failures = 1, open_for = "30s")]
    fn names_it() -> Result<u32, Kept> {
        Err(Kept::Own)
    }

    #[test]
    fn an_open_circuit_is_retried_if_the_pattern_names_it() {
        let memory = MemoryHandler::builder().clock(MOVES.clone()).build();
        testing::scope(memory, || {
            assert!(matches!(names_it(), Err(Kept::Own)));
            assert!(matches!(names_it(), Err(Kept::Own)));
        });
        assert_eq!(NAMED.load(Ordering::SeqCst), 1);
    }

    #[retry(max = 4, base = 0, max_delay = "1h", on = Kept::Premier(_), on_retry = |_| unreachable!())]
    #[circuit_breaker(failures = 1, open_for = "30s")]
    fn names_premier() -> Result<u32, Kept> {
        Err(Kept::Own)
    }

    #[test]
    fn a_pattern_for_all_errors_of_premier_does_not_name_an_open_circuit() {
        freeze_time();
        assert!(matches!(names_premier(), Err(Kept::Own)));
        let error = names_premier().unwrap_err();
        assert!(matches!(error, Kept::Premier(Error::CircuitOpen { .. })));
    }

    static HINTED: AtomicU32 = AtomicU32::new(0);

    #[retry(max = 5, base = 0, max_delay = "10s")]
    fn hinted(retry_after: Duration) -> Result<u32, Error> {
        count(&HINTED);
        premier::Throttle::new("hinted", premier::Limit::fixed_window(1, retry_after))
            .acquire(&retry_after.as_secs())
            .map(|_| 1)
    }

    #[test]
    fn a_retry_after_beyond_the_maximum_delay_ends_the_retries() {
        freeze_time();
        let longer = Duration::from_secs(11);
        assert_eq!(hinted(longer).unwrap(), 1);
        let error = hinted(longer).unwrap_err();
        assert!(
            error.retry_after() > Some(Duration::from_secs(10)),
            "{error}"
        );
        assert_eq!(HINTED.load(Ordering::SeqCst), 2);
    }

    static AGAIN: AtomicU32 = AtomicU32::new(0);

    #[retry(max = 2, base = 0)]
    #[circuit_breaker(failures = 1, open_for = "30s")]
    #[retry(max = 2, base = 0)]
    #[throttle(algo = "token_bucket", rate = "2/h", burst = 2)]
    fn fails_after_a_refusal() -> Result<u32, Failure> {
        Err(Failure(count(&AGAIN).to_string()))
    }

    #[test]
    fn the_last_attempt_says_how_a_call_ended() {
        freeze_time();
        // Both attempts reach the function, so the breaker opens.
        let Failure(message) = fails_after_a_refusal().unwrap_err();
        assert!(message.contains("circuit breaker"), "{message}");
        assert_eq!(AGAIN.load(Ordering::SeqCst), 2);
    }
}

mod names {
    use super::*;

    enum Code {
        Busy,
        Gone,
    }

    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

    use Code::Busy;

    #[retry(max = 3, base = 0, on = Busy)]
    fn by_variant(busy: bool) -> Result<u32, Code> {
        count(&ATTEMPTS);
        Err(if busy { Busy } else { Code::Gone })
    }

    #[test]
    fn a_variant_matches_itself_only() {
        freeze_time();
        ATTEMPTS.store(0, Ordering::SeqCst);
        let _ = by_variant(false);
        assert_eq!(ATTEMPTS.swap(0, Ordering::SeqCst), 1);
        let _ = by_variant(true);
        assert_eq!(ATTEMPTS.swap(0, Ordering::SeqCst), 3);
    }
}
