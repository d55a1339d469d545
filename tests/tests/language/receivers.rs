//! What `self` is in the attempts of a method with `#[retry]`.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
// The lints are about the shapes of the methods under test.
#![allow(clippy::unused_async, clippy::boxed_local)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use premier::{Error, retry, throttle, timeout};

/// Fails until it has been called `fails` times.
#[derive(Clone, Debug, PartialEq)]
struct Service {
    calls: u32,
    fails: u32,
}

#[derive(Debug, PartialEq)]
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

fn fails_once() -> Service {
    Service { calls: 0, fails: 1 }
}

impl Service {
    fn call(&mut self) -> Result<u32, Failure> {
        self.calls += 1;
        if self.calls > self.fails {
            Ok(self.calls)
        } else {
            Err(Failure("again".into()))
        }
    }

    #[retry(max = 3, base = 0)]
    async fn moved_into_an_async_block(&mut self) -> Result<u32, Failure> {
        let future = async move { self.call() };
        future.await
    }

    #[retry(max = 3, base = 0)]
    fn moved_into_a_closure(&mut self) -> Result<u32, Failure> {
        let mut call = move || self.call();
        call()
    }

    #[retry(max = 3, base = 0)]
    fn moved_into_a_variable(&mut self) -> Result<u32, Failure> {
        let this = self;
        this.call()
    }

    #[retry(max = 3, base = 0)]
    fn moved_into_a_function(&mut self) -> Result<u32, Failure> {
        std::convert::identity(self).call()
    }

    #[timeout(60)]
    #[retry(max = 3, base = 0)]
    async fn below_a_timeout(&mut self) -> Result<u32, Failure> {
        let future = async move { self.call() };
        future.await
    }

    #[retry(max = 3, base = 0)]
    fn moved_into_a_boxed_future(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<u32, Failure>> + Send + '_>> {
        Box::pin(async move { self.call() })
    }

    #[retry(max = 3, base = 0)]
    fn for_a_named_lifetime<'a>(
        &'a mut self,
        attempts: &'a mut Vec<u32>,
    ) -> Pin<Box<dyn Future<Output = Result<u32, Failure>> + Send + 'a>> {
        let future = async move {
            attempts.push(self.calls);
            self.call()
        };
        Box::pin(future)
    }

    #[retry(max = 3, base = 0)]
    #[allow(clippy::manual_async_fn)]
    fn moved_into_a_future(&mut self) -> impl Future<Output = Result<u32, Failure>> + Send + '_ {
        async move {
            let future = async move { self.call() };
            future.await
        }
    }

    #[retry(max = 3, base = 0)]
    #[allow(clippy::needless_arbitrary_self_type)]
    fn typed(self: &mut Self) -> Result<u32, Failure> {
        let this = self;
        this.call()
    }

    #[retry(max = 3, base = 0)]
    fn text(self) -> Result<String, Failure> {
        Ok(format!("{self:?}"))
    }

    #[retry(max = 3, base = 0)]
    fn text_of_shared(self: Arc<Self>) -> Result<String, Failure> {
        Ok(format!("{self:?}"))
    }

    #[retry(max = 3, base = 0)]
    fn text_of_borrowed(&mut self) -> Result<String, Failure> {
        let fails = self.fails;
        Ok(format!("{self:?} of {fails} and {0}", self.calls))
    }

    #[retry(max = 3, base = 0)]
    async fn text_of_a_task(mut self) -> Result<String, Failure> {
        self.calls += 1;
        Ok(format!("{self:?}"))
    }

    #[retry(max = 3, base = 0)]
    #[throttle(quota = 1, duration = "1h", key = "{self:?}")]
    fn keyed_by_itself(self) -> Result<(), Failure> {
        let Self { .. } = self;
        Ok(())
    }

    #[retry(max = 3, base = 0)]
    fn text_with_the_word(self) -> Result<String, Failure> {
        let argument = format!("{}, {}", "{self}", self.calls);
        Ok(format!("{argument} {{self}}"))
    }

    #[retry(max = 3, base = 0)]
    fn through_a_macro(self) -> Result<u32, Failure> {
        macro_rules! calls_of {
            ($self:ident) => {
                $self.calls
            };
        }
        Ok(calls_of!(self))
    }
}

trait Call: Sized {
    fn call(&mut self) -> Result<u32, Failure>;

    #[retry(max = 3, base = 0)]
    fn by_default(&mut self) -> Result<u32, Failure> {
        let this = self;
        this.call()
    }

    #[retry(max = 3, base = 0)]
    fn text(self) -> Result<String, Failure>
    where
        Self: fmt::Debug + Clone,
    {
        Ok(format!("{self:?}"))
    }
}

struct Generic<T>(T);

impl<T: FnMut() -> Result<u32, Failure> + Send> Generic<T> {
    #[retry(max = 3, base = 0)]
    async fn call(&mut self) -> Result<u32, Failure> {
        let future = async move { (self.0)() };
        future.await
    }
}

impl Call for Service {
    fn call(&mut self) -> Result<u32, Failure> {
        self.call()
    }
}

#[async_trait::async_trait]
trait Tasks {
    async fn boxed(&mut self) -> Result<u32, Failure>;
}

#[async_trait::async_trait]
impl Tasks for Service {
    #[retry(max = 3, base = 0)]
    async fn boxed(&mut self) -> Result<u32, Failure> {
        let future = async move { self.call() };
        future.await
    }
}

#[test]
fn a_body_may_move_the_exclusive_reference() {
    assert_eq!(fails_once().moved_into_a_closure(), Ok(2));
    assert_eq!(fails_once().moved_into_a_variable(), Ok(2));
    assert_eq!(fails_once().moved_into_a_function(), Ok(2));
    assert_eq!(fails_once().typed(), Ok(2));
    assert_eq!(fails_once().by_default(), Ok(2));
}

#[tokio::test]
async fn the_body_of_a_task_may_move_the_exclusive_reference() {
    assert_eq!(fails_once().moved_into_an_async_block().await, Ok(2));
    assert_eq!(fails_once().below_a_timeout().await, Ok(2));
    assert_eq!(fails_once().moved_into_a_boxed_future().await, Ok(2));
    assert_eq!(fails_once().moved_into_a_future().await, Ok(2));
    assert_eq!(fails_once().boxed().await, Ok(2));
    let mut service = fails_once();
    assert_eq!(Generic(|| service.call()).call().await, Ok(2));
}

#[tokio::test]
async fn each_attempt_of_a_boxed_future_borrows_for_itself() {
    let mut attempts = Vec::new();
    let called = fails_once().for_a_named_lifetime(&mut attempts).await;
    assert_eq!(called, Ok(2));
    assert_eq!(attempts, [0, 1]);
}

#[tokio::test]
async fn format_strings_name_the_receiver() {
    let text = "Service { calls: 0, fails: 1 }";
    assert_eq!(fails_once().text().unwrap(), text);
    assert_eq!(Call::text(fails_once()).unwrap(), text);
    assert_eq!(Arc::new(fails_once()).text_of_shared().unwrap(), text);
    let borrowed = fails_once().text_of_borrowed().unwrap();
    assert_eq!(borrowed, format!("{text} of 1 and 0"));
    let task = fails_once().text_of_a_task().await.unwrap();
    assert_eq!(task, "Service { calls: 1, fails: 1 }");
}

#[test]
fn the_format_string_of_a_key_names_the_receiver() {
    let other = Service { calls: 0, fails: 9 };
    fails_once().keyed_by_itself().unwrap();
    other.keyed_by_itself().unwrap();
    fails_once().keyed_by_itself().unwrap_err();
}

#[test]
fn the_word_self_in_other_text_stays() {
    let text = fails_once().text_with_the_word().unwrap();
    assert_eq!(text, "{self}, 0 {self}");
}

#[test]
fn a_macro_in_the_body_may_take_the_receiver() {
    assert_eq!(fails_once().through_a_macro(), Ok(0));
}

#[test]
fn strings_that_are_no_formats_stay_as_they_are() {
    struct Log(Vec<&'static str>);
    impl Log {
        #[retry(max = 2, base = 0)]
        fn lines(&mut self) -> Result<Vec<&'static str>, Failure> {
            self.0.push("x");
            Ok(vec!["{self}"])
        }
    }
    assert_eq!(Log(Vec::new()).lines().unwrap(), ["{self}"]);
}
