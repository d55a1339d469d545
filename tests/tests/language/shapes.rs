//! `#[throttle]` on every shape of function.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
// The lint is about names of the functions under test.
#![allow(
    clippy::unused_async,
    clippy::needless_pass_by_value,
    clippy::unused_self
)]

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use premier::{Error, throttle};

type AppResult<T> = Result<T, Failure>;

#[derive(Debug)]
struct Failure(#[allow(dead_code)] String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

/// Runs `call` until it is denied. Returns how often it was admitted.
fn admitted<T, E: Debug>(mut call: impl FnMut() -> Result<T, E>) -> usize {
    (0..100).take_while(|_| call().is_ok()).count()
}

macro_rules! admitted_async {
    ($call:expr) => {{
        let mut count = 0;
        while assert_send($call).await.is_ok() {
            count += 1;
            assert!(count < 100, "it is never refused");
        }
        count
    }};
}

#[throttle(quota = 2, duration = "1h")]
fn free() {}

#[throttle(quota = 2, duration = "1h")]
fn with_result(fail: bool) -> AppResult<u32> {
    if fail {
        return Err(Failure("asked".into()));
    }
    let parsed: u32 = "7".parse().map_err(|_| Failure("parse".into()))?;
    Ok(parsed)
}

#[throttle(quota = 2, duration = "1h")]
fn early_return(early: bool) -> u32 {
    if early {
        return 1;
    }
    2
}

#[throttle(quota = 2, duration = "1h")]
fn generic<T, const N: usize>(value: &T) -> String
where
    T: Debug + Display + ?Sized,
{
    format!("{value}{N}")
}

#[throttle(quota = 2, duration = "1h")]
fn impl_argument(value: impl Into<String>) -> String {
    value.into()
}

#[throttle(quota = 2, duration = "1h")]
fn impl_output(upto: u32) -> impl Iterator<Item = u32> {
    0..upto
}

#[throttle(quota = 2, duration = "1h")]
fn coerced() -> Box<dyn Display> {
    Box::new(7)
}

#[throttle(quota = 3, duration = "1h", key = "{left}:{right}")]
fn patterns((left, mut right): (u32, u32), mut list: Vec<u32>, _: u8) -> u32 {
    right += 1;
    list.push(left);
    list.iter().sum::<u32>() + right
}

#[throttle(quota = 2, duration = "1h", key = name.len())]
fn borrowed<'a>(name: &'a str, other: &str) -> &'a str {
    if other.is_empty() { name } else { &name[..1] }
}

#[throttle(quota = 2, duration = "1h")]
fn changes(count: &mut u32) -> &mut u32 {
    *count += 1;
    count
}

#[throttle(quota = 2, duration = "1h")]
async fn asynchronous(name: String) -> AppResult<String> {
    tokio::task::yield_now().await;
    Ok(name)
}

#[throttle(quota = 2, duration = "1h")]
async fn asynchronous_infallible<T: Send>(value: T) -> T {
    tokio::task::yield_now().await;
    value
}

#[throttle(quota = 2, duration = "1h", key = name)]
async fn asynchronous_borrow<'a>(name: &'a str, _other: &str) -> &'a str {
    tokio::task::yield_now().await;
    name
}

#[throttle(quota = 2, duration = "1h", key = name)]
fn returns_future(name: &str) -> impl Future<Output = AppResult<usize>> + Send {
    let length = name.len();
    async move { Ok(length) }
}

#[throttle(quota = 2, duration = "1h")]
fn returns_boxed<'a>(name: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    if name.is_empty() {
        return Box::pin(std::future::ready(0));
    }
    Box::pin(async move { name.len() })
}

/// Not `Sync`: a future that holds a reference to it across an await is not `Send`.
struct NotSync(std::cell::Cell<u32>);

impl Display for NotSync {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0.get())
    }
}

#[throttle(quota = 2, duration = "1h", key = value)]
async fn not_sync(value: NotSync) -> AppResult<u32> {
    let number = value.0.get();
    tokio::task::yield_now().await;
    Ok(number)
}

mod two {
    use super::{AppResult, Arc, throttle};

    pub(crate) struct A(pub(crate) u32);
    pub(crate) struct B<T>(pub(crate) T);

    impl A {
        const QUOTA: u32 = 2;

        #[throttle(quota = Self::QUOTA, duration = "1h")]
        pub(crate) fn get(&self) -> u32 {
            self.0
        }

        #[throttle(quota = 2, duration = "1h", keymaker = |a, by| a.0 + *by)]
        pub(crate) fn add(&mut self, by: u32) -> &mut u32 {
            self.0 += by;
            &mut self.0
        }

        #[throttle(quota = 2, duration = "1h")]
        pub(crate) async fn shared(self: Arc<Self>) -> AppResult<u32> {
            Ok(self.0)
        }

        #[throttle(quota = 2, duration = "1h")]
        pub(crate) fn consumed(mut self) -> Self {
            self.0 += 1;
            self
        }

        #[throttle(quota = 2, duration = "1h")]
        pub(crate) fn associated() -> Self {
            Self(1)
        }

        #[throttle(quota = 2, duration = "1h", key = self.0)]
        pub(crate) async fn changes(&mut self) -> AppResult<&mut u32> {
            self.0 += 1;
            Ok(&mut self.0)
        }
    }

    impl<T: Copy + Send + Sync> B<T> {
        #[throttle(quota = 3, duration = "1h")]
        pub(crate) fn get(&self) -> T {
            self.0
        }
    }
}

trait Store {
    fn load(&self, key: &str) -> AppResult<usize>;
    fn save(&mut self, key: String) -> impl Future<Output = AppResult<usize>> + Send;
}

#[async_trait::async_trait]
trait Remote {
    async fn call(&self, path: &str, (low, high): (u32, u32)) -> AppResult<String>;
    async fn count(&mut self) -> u32;
}

struct Disk;

impl Store for Disk {
    #[throttle(quota = 2, duration = "1h", keymaker = |_, key| *key)]
    fn load(&self, key: &str) -> AppResult<usize> {
        Ok(key.len())
    }

    #[throttle(quota = 2, duration = "1h")]
    async fn save(&mut self, key: String) -> AppResult<usize> {
        Ok(key.len())
    }
}

#[async_trait::async_trait]
impl Remote for Disk {
    #[throttle(quota = 2, duration = "1h", key = "{path}")]
    async fn call(&self, path: &str, (low, high): (u32, u32)) -> AppResult<String> {
        tokio::task::yield_now().await;
        if low > high {
            return Ok("none".to_owned());
        }
        Ok(format!("{path}{low}{high}"))
    }

    #[throttle(quota = 2, duration = "1h", on_reject = |_| 0)]
    async fn count(&mut self) -> u32 {
        7
    }
}

macro_rules! from_a_macro {
    ($name:ident, $quota:expr, $output:ty, $body:block) => {
        #[throttle(quota = $quota, duration = "1h")]
        fn $name() -> $output $body
    };
}
from_a_macro!(made, 2, AppResult<u32>, { Ok(1) });

#[test]
fn free_functions_are_limited() {
    assert_eq!(admitted(free), 2);
    assert_eq!(with_result(false).unwrap(), 7);
    assert!(with_result(true).is_err());
    assert_eq!(admitted(|| with_result(false)), 0);
    assert_eq!(early_return(true).unwrap(), 1);
    assert_eq!(early_return(false).unwrap(), 2);
    assert_eq!(admitted(|| early_return(true)), 0);
    assert_eq!(admitted(made), 2);
}

#[test]
fn generic_functions_share_one_quota_among_their_instances() {
    assert_eq!(generic::<_, 1>(&1).unwrap(), "11");
    assert_eq!(generic::<_, 2>("x").unwrap(), "x2");
    assert!(generic::<_, 1>(&1).is_err());
    assert_eq!(admitted(|| impl_argument("x")), 2);
}

#[test]
fn functions_with_any_return_type_are_limited() {
    assert_eq!(impl_output(3).unwrap().count(), 3);
    assert_eq!(coerced().unwrap().to_string(), "7");
    assert_eq!(borrowed("name", "x").unwrap(), "n");
    let mut count = 1;
    *changes(&mut count).unwrap() += 1;
    assert_eq!(count, 3);
}

#[test]
fn arguments_may_be_patterns() {
    assert_eq!(patterns((1, 2), vec![3], 0).unwrap(), 7);
    assert_eq!(admitted(|| patterns((1, 2), vec![], 0)), 2);
    assert_eq!(admitted(|| patterns((2, 2), vec![], 0)), 3);
}

#[tokio::test]
async fn async_functions_are_limited_and_stay_send() {
    assert_eq!(admitted_async!(asynchronous("x".into())), 2);
    assert_eq!(admitted_async!(asynchronous_infallible(1)), 2);
    assert_eq!(admitted_async!(asynchronous_borrow("abc", "")), 2);
    assert_eq!(
        admitted_async!(not_sync(NotSync(std::cell::Cell::new(1)))),
        2
    );
}

#[tokio::test]
async fn functions_that_return_futures_are_decided_when_polled() {
    drop(returns_future("abc"));
    assert_eq!(returns_future("abc").await.unwrap(), 3);
    assert_eq!(admitted_async!(returns_future("abc")), 1);
    assert_eq!(returns_boxed("").await.unwrap(), 0);
    assert_eq!(admitted_async!(returns_boxed("abc")), 1);
}

#[tokio::test]
async fn methods_are_limited() {
    let mut a = two::A(1);
    *a.add(2).unwrap() += 1;
    assert_eq!(a.0, 4);
    *a.changes().await.unwrap() += 1;
    assert_eq!(a.0, 6);
    assert_eq!(a.consumed().unwrap().0, 7);
    assert_eq!(admitted(two::A::associated), 2);
    let shared = Arc::new(two::A(1));
    assert_eq!(admitted_async!(shared.clone().shared()), 2);
}

#[test]
fn methods_of_two_types_with_one_name_have_separate_quotas() {
    let (a, b, c) = (two::A(1), two::B(1), two::B("x"));
    assert_eq!(admitted(|| a.get()), 2);
    assert_eq!(b.get().unwrap(), 1);
    assert_eq!(c.get().unwrap(), "x");
    // `B<i32>` and `B<&str>` are two types as well.
    assert_eq!(admitted(|| b.get()), 2);
    assert_eq!(admitted(|| c.get()), 2);
}

#[tokio::test]
async fn trait_methods_are_limited() {
    let mut disk = Disk;
    assert_eq!(admitted(|| disk.load("a")), 2);
    assert_eq!(admitted(|| disk.load("b")), 2);
    assert_eq!(admitted_async!(disk.save("a".into())), 2);
    assert_eq!(disk.call("/", (1, 2)).await.unwrap(), "/12");
    assert_eq!(disk.call("/", (2, 1)).await.unwrap(), "none");
    assert!(disk.call("/", (1, 2)).await.is_err());
    let counts = [disk.count().await, disk.count().await, disk.count().await];
    assert_eq!(counts, [7, 7, 0]);
}
