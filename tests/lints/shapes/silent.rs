#![allow(dead_code)]
use premier::Error;
use std::future::Future;
use std::pin::Pin;

//@
/// Nothing to see.
///
/// # Errors
/// When rejected.
#[attribute]
pub fn no_arguments() -> Result<u32, Error> {
    Ok(1)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn adds(n: u32) -> Result<u32, Error> {
    Ok(n + 1)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn two_arguments(a: u32, b: String) -> Result<String, Error> {
    Ok(b + &a.to_string())
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn asynchronous(a: u32, b: String) -> Result<String, Error> {
    std::future::ready(()).await;
    Ok(b + &a.to_string())
}
//@ without retry circuit_breaker throttle concurrency timeout
#[attribute]
#[must_use]
pub fn must_use_number(n: u32) -> u32 {
    n + 1
}
//@ without retry circuit_breaker
#[attribute]
#[must_use]
pub fn must_use_or_rejected(n: u32) -> u32 {
    n + 1
}
//@ without retry circuit_breaker
#[attribute]
pub fn unit(n: u32) {
    println!("{n}");
}
//@ without retry circuit_breaker
#[attribute]
pub async fn unit_async(n: u32) {
    std::future::ready(n).await;
}
//@ without retry circuit_breaker
#[attribute]
#[must_use]
pub fn maybe(n: u32) -> Option<u32> {
    let n = n.checked_add(1)?;
    Some(n)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn unit_result(n: u32) -> Result<(), Error> {
    if n == 0 {
        return Ok(());
    }
    println!("{n}");
    Ok(())
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn returns_early(n: u32) -> Result<u32, Error> {
    if n == 0 {
        return Ok(7);
    }
    Ok(n)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn returns_early_async(n: u32) -> Result<u32, Error> {
    if n == 0 {
        return Ok(7);
    }
    std::future::ready(()).await;
    Ok(n)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn underscore(_n: u32, b: u32) -> Result<u32, Error> {
    Ok(b)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn only_underscore(_n: u32) -> Result<u32, Error> {
    Ok(1)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn wildcard(_: u32) -> Result<u32, Error> {
    Ok(1)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn underscore_async(_n: u32, b: u32) -> Result<u32, Error> {
    std::future::ready(()).await;
    Ok(b)
}
//@ without timeout cache
/// # Errors
/// When rejected.
#[attribute]
pub fn underscore_borrowed(_log: &mut [u32], b: u32) -> Result<u32, Error> {
    Ok(b)
}
//@ without timeout
/// # Errors
/// When rejected.
#[attribute]
pub fn borrowed(text: &str) -> Result<usize, Error> {
    Ok(text.len())
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn borrowed_async(text: &str) -> Result<usize, Error> {
    std::future::ready(()).await;
    Ok(text.len())
}
//@ without timeout
/// # Errors
/// When rejected.
#[attribute]
pub fn borrows_output(text: &'static str) -> Result<&'static str, Error> {
    Ok(text)
}
//@ without timeout cache
/// # Errors
/// When rejected.
#[attribute]
pub fn exclusive(list: &mut [u32], n: u32) -> Result<(), Error> {
    list[0] = n;
    Ok(())
}
//@ without cache
/// # Errors
/// When rejected.
#[attribute]
pub async fn exclusive_async(list: &mut [u32], n: u32) -> Result<(), Error> {
    std::future::ready(()).await;
    list[0] = n;
    Ok(())
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn mutable(mut n: u32) -> Result<u32, Error> {
    n += 1;
    Ok(n)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn mutable_async(mut n: u32) -> Result<u32, Error> {
    n += 1;
    std::future::ready(()).await;
    Ok(n)
}
//@ without cache_by_arguments premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn tuple((a, b): (u32, u32)) -> Result<u32, Error> {
    Ok(a + b)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub async fn tuple_async((a, mut b): (u32, u32)) -> Result<u32, Error> {
    b += 1;
    std::future::ready(()).await;
    Ok(a + b)
}
//@ without timeout premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn reference_pattern(&(a, b): &(u32, u32)) -> Result<u32, Error> {
    Ok(a + b)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn some_ignored((a, _): (u32, u32), _b: u8) -> Result<u32, Error> {
    Ok(a)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn struct_pattern(Point { x, .. }: Point) -> Result<u32, Error> {
    Ok(x)
}
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub x: u32,
    pub y: u32,
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn items_first(n: u32) -> Result<u32, Error> {
    use std::ops::Add as _;
    const K: u32 = 1;
    fn helper(n: u32) -> u32 {
        n.add(K)
    }
    Ok(helper(n))
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn items_first_async(n: u32) -> Result<u32, Error> {
    use std::ops::Add as _;
    const K: u32 = 1;
    std::future::ready(()).await;
    Ok(n.add(K))
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn items_first_of_pattern(mut n: u32) -> Result<u32, Error> {
    const K: u32 = 1;
    n += K;
    Ok(n)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn generic<T>(value: T, n: u32) -> Result<(T, u32), Error>
where
    T: Send + Sync + Clone + 'static,
{
    Ok((value, n))
}
//@ without timeout premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn generic_reference<T: std::fmt::Display + ?Sized>(value: &T) -> Result<String, Error> {
    Ok(value.to_string())
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn constant_generic<const N: usize>(list: [u8; N]) -> Result<usize, Error> {
    Ok(list.len())
}
//@ without timeout premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn opaque_argument(value: &impl std::fmt::Display) -> Result<String, Error> {
    Ok(value.to_string())
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn several_outputs(n: u32) -> Result<Vec<Option<u32>>, Error> {
    let squares = (0..n).map(|n| n.checked_mul(n)).collect();
    Ok(squares)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn future(n: u32) -> impl Future<Output = Result<u32, Error>> + Send {
    let m = n + 1;
    async move { Ok(m) }
}
//@
/// # Errors
/// When rejected.
#[attribute]
#[must_use = "futures do nothing"]
pub fn boxed_future(n: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    let m = n + 1;
    Box::pin(async move { Ok(m) })
}
//@
#[attribute]
#[must_use]
pub fn boxed_at_once(n: u32) -> Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>> {
    Box::pin(async move { Ok(n) })
}
//@ without throttle concurrency timeout circuit_breaker retry
#[attribute]
#[must_use]
pub fn boxed_number(n: u32) -> premier::BoxFuture<'static, u32> {
    Box::pin(std::future::ready(n))
}
//@ without premier::cache]
#[derive(Clone, Debug, Default)]
pub struct Service {
    n: u32,
}
impl Service {
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn associated(n: u32) -> Result<Self, Error> {
        Ok(Self { n })
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub async fn by_reference_async(&self, n: u32) -> Result<u32, Error> {
        std::future::ready(()).await;
        Ok(self.n + n)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub async fn exclusively_async(&mut self, n: u32) -> Result<u32, Error> {
        std::future::ready(()).await;
        self.n += n;
        Ok(self.n)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn by_value(self, n: u32) -> Result<u32, Error> {
        Ok(self.n + n)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn by_mutable_value(mut self, n: u32) -> Result<Self, Error> {
        self.n += n;
        Ok(self)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn by_arc(self: std::sync::Arc<Self>) -> Result<u32, Error> {
        Ok(self.n)
    }
}
//@ without timeout premier::cache]
#[derive(Clone, Debug, Default)]
pub struct Borrowing {
    n: u32,
}
impl Borrowing {
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn by_reference(&self, n: u32) -> Result<u32, Error> {
        Ok(self.n + n)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn exclusively(&mut self, n: u32) -> Result<u32, Error> {
        self.n += n;
        Ok(self.n)
    }
    /// # Errors
    /// When rejected.
    #[attribute]
    pub fn returns_reference(&self) -> Result<u32, Error> {
        let n = &self.n;
        Ok(*n)
    }
}
//@ without premier::cache]
#[async_trait::async_trait]
pub trait Fetch {
    async fn fetch(&self, id: u32) -> Result<u32, Error>;
    async fn store(&mut self, id: u32, (a, b): (u32, u32)) -> Result<(), Error>;
}
#[derive(Clone, Copy, Debug)]
pub struct Fetcher(u32);
#[async_trait::async_trait]
impl Fetch for Fetcher {
    #[attribute]
    async fn fetch(&self, id: u32) -> Result<u32, Error> {
        std::future::ready(()).await;
        Ok(self.0 + id)
    }
    #[attribute]
    async fn store(&mut self, id: u32, (a, b): (u32, u32)) -> Result<(), Error> {
        std::future::ready(()).await;
        self.0 = id + a + b;
        Ok(())
    }
}
//@ without premier::cache]
pub trait Load {
    /// # Errors
    /// When rejected.
    fn load(&self, id: u32) -> impl Future<Output = Result<u32, Error>> + Send;
}
#[derive(Clone, Copy, Debug)]
pub struct Loader(u32);
impl Load for Loader {
    #[attribute]
    async fn load(&self, id: u32) -> Result<u32, Error> {
        std::future::ready(()).await;
        Ok(self.0 + id)
    }
}
//@
#[attribute]
fn private(n: u32) -> Result<u32, Error> {
    Ok(n)
}
/// # Errors
/// When rejected.
pub fn caller() -> Result<u32, Error> {
    private(1)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn closures_and_loops(list: Vec<u32>) -> Result<u32, Error> {
    let mut sum = 0;
    for n in list {
        sum += n;
    }
    let double = |n: u32| n * 2;
    Ok(double(sum))
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn matches(n: Option<u32>) -> Result<u32, Error> {
    let Some(n) = n else {
        return Ok(0);
    };
    match n {
        0 => Ok(1),
        1 => {
            println!("one");
            Ok(2)
        }
        n => Ok(n),
    }
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn never_ends_normally(n: u32) -> Result<u32, Error> {
    loop {
        if n > 0 {
            break Ok(n);
        }
    }
}
//@
/// # Errors
/// Always.
///
/// # Panics
/// Always.
#[attribute]
pub fn panics(n: u32) -> Result<u32, Error> {
    panic!("{n}")
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn allowed_argument(#[allow(unused_variables)] n: u32) -> Result<u32, Error> {
    Ok(1)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn expected_argument(#[expect(unused_variables)] n: u32) -> Result<u32, Error> {
    Ok(1)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn expected_mut(#[expect(unused_mut)] mut n: u32) -> Result<u32, Error> {
    Ok(n)
}
//@ without premier::cache]
/// # Errors
/// When rejected.
#[attribute]
pub fn expected_pattern(#[expect(unused_variables)] (a, b): (u32, u32)) -> Result<u32, Error> {
    Ok(a)
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn one_line(n: u32) -> Result<u32, Error> { Ok(n) }
//@
/// # Errors
/// When rejected.
#[attribute]
pub async fn one_line_async(n: u32) -> Result<u32, Error> { std::future::ready(Ok(n)).await }
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn one_line_mutable(mut n: u32) -> Result<u32, Error> { n += 1; Ok(n) }
//@ without retry circuit_breaker cache
#[attribute]
pub fn consumes(n: String) { drop(n); }
//@ without retry circuit_breaker
#[attribute]
pub fn nothing() {}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn block_expression(n: u32) -> Result<u32, Error> {
    if n == 0 { Ok(1) } else { Ok(n) }
}
//@
/// # Errors
/// When rejected.
#[attribute]
pub fn unsafe_like(n: u32) -> Result<u32, Error> {
    #![allow(clippy::absurd_extreme_comparisons)]
    let n = { n + 1 };
    Ok(n)
}
