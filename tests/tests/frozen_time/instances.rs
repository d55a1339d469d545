//! What the instances of generic functions, and of methods of generic types and traits, share.
#![forbid(unsafe_code)]

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::{Error, cache, circuit_breaker, concurrency, limits, throttle};

use super::freeze_time;

trait Kind {
    const NAME: &'static str;
    const QUOTA: u64;

    #[cache]
    fn label(id: u32) -> String {
        format!("{}{id}", Self::NAME)
    }

    #[cache(name = "labels", key = id)]
    fn named_label(id: u32) -> String {
        count();
        format!("{}{id}", Self::NAME)
    }

    #[throttle(quota = Self::QUOTA, duration = "1h")]
    fn call(&self) -> Result<&'static str, Error> {
        Ok(Self::NAME)
    }

    #[throttle(quota = 1, duration = "1h")]
    fn call_with<T: Display>(&self, _with: T) -> Result<&'static str, Error> {
        Ok(Self::NAME)
    }

    #[circuit_breaker(failures = 1)]
    fn fail(&self, fails: bool) -> Result<(), Failure> {
        if fails { Err(Failure::Own) } else { Ok(()) }
    }

    #[concurrency(limit = 1)]
    fn nested(&self, inner: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        inner()
    }
}

static CALLS: AtomicU32 = AtomicU32::new(0);

fn count() {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

#[derive(Debug)]
enum Failure {
    Own,
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

struct A;
struct B;

impl Kind for A {
    const NAME: &'static str = "a";
    const QUOTA: u64 = 1;
}

impl Kind for B {
    const NAME: &'static str = "b";
    const QUOTA: u64 = 3;
}

struct C;

impl Kind for C {
    const NAME: &'static str = "c";
    const QUOTA: u64 = 1;
}

struct Repo<K>(K);

impl<K: Kind> Repo<K> {
    #[cache(ttl = "1m")]
    fn load(id: u32) -> String {
        format!("{}{id}", K::NAME)
    }

    #[cache(ttl = "1m")]
    async fn load_async(id: u32) -> Result<String, Error> {
        Ok(format!("{}{id}", K::NAME))
    }

    #[throttle(quota = 1, duration = "1h")]
    async fn call(&self) -> Result<&'static str, Error> {
        Ok(K::NAME)
    }
}

struct Times<const N: u64>;

impl<const N: u64> Times<N> {
    #[cache]
    fn times(x: u64) -> u64 {
        x * N
    }

    #[throttle(quota = N, duration = "1h")]
    fn call() -> Result<(), Error> {
        Ok(())
    }
}

/// The bounds of the default key on an argument.
trait Argument: Debug + Hash + Eq + Clone + Send + Sync + 'static {}

impl<T: Debug + Hash + Eq + Clone + Send + Sync + 'static> Argument for T {}

#[cache]
fn describe(value: impl Argument) -> String {
    format!("{value:?}")
}

#[cache]
fn debug<T: Argument>(value: T) -> String {
    format!("{value:?}")
}

#[cache(key = "{value}")]
fn describe_by_key(value: impl Display + Debug) -> String {
    format!("{value:?}")
}

#[cache(key = 0)]
fn size_of<T>() -> usize {
    std::mem::size_of::<T>()
}

#[throttle(quota = 2, duration = "1h")]
fn send<T: Display>(_body: T) -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 2, duration = "1h")]
fn listed<T: Display>(_body: T) -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 2, duration = "1h")]
async fn send_async(_body: impl Display) -> Result<(), Error> {
    Ok(())
}

mod values {
    use super::*;

    #[tokio::test]
    async fn instances_never_share_cached_values() {
        freeze_time();
        for _ in 0..2 {
            assert_eq!([Repo::<A>::load(1), Repo::<B>::load(1)], ["a1", "b1"]);
            assert_eq!(Repo::<A>::load_async(1).await.unwrap(), "a1");
            assert_eq!(Repo::<B>::load_async(1).await.unwrap(), "b1");
            assert_eq!([A::label(1), B::label(1)], ["a1", "b1"]);
            assert_eq!([Times::<2>::times(10), Times::<3>::times(10)], [20, 30]);
            assert_eq!(
                [describe(1), describe("1"), describe('1')],
                ["1", "\"1\"", "'1'"]
            );
            assert_eq!([debug(1), debug("1")], ["1", "\"1\""]);
            assert_eq!([size_of::<u8>(), size_of::<&str>()], [1, 16]);
        }
    }

    #[test]
    fn a_type_that_borrows_is_an_instance_too() {
        freeze_time();
        let text = String::from("borrowed");
        assert_eq!(describe_by_key(&text[..1]), "\"b\"");
        assert_eq!(describe_by_key(&text), "\"borrowed\"");
        assert_eq!([describe_by_key(1), describe_by_key("1")], ["1", "\"1\""]);
    }

    #[test]
    fn a_name_invalidates_the_values_of_all_instances() {
        freeze_time();
        let both = || [A::named_label(1), B::named_label(1)];
        assert_eq!(both(), ["a1", "b1"]);
        assert_eq!(both(), ["a1", "b1"]);
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
        premier::cache::invalidate("labels", &1).unwrap();
        assert_eq!(both(), ["a1", "b1"]);
        assert_eq!(CALLS.load(Ordering::SeqCst), 4);
        premier::cache::clear("labels").unwrap();
        assert_eq!(both(), ["a1", "b1"]);
        assert_eq!(CALLS.load(Ordering::SeqCst), 6);
    }
}

mod policies {
    use super::*;

    #[test]
    fn each_implementor_of_a_trait_has_the_limit_of_a_default_method_for_itself() {
        freeze_time();
        A.call().unwrap();
        A.call().unwrap_err();
        for _ in 0..3 {
            assert_eq!(B.call().unwrap(), "b");
        }
        B.call().unwrap_err();
    }

    #[tokio::test]
    async fn instances_of_a_generic_type_have_limits_of_their_own() {
        freeze_time();
        Repo(A).call().await.unwrap();
        Repo(A).call().await.unwrap_err();
        Repo(B).call().await.unwrap();
        Times::<1>::call().unwrap();
        Times::<1>::call().unwrap_err();
        Times::<2>::call().unwrap();
        Times::<2>::call().unwrap();
        Times::<2>::call().unwrap_err();
    }

    #[tokio::test]
    async fn generic_arguments_of_the_function_itself_share_its_limit() {
        freeze_time();
        send(1).unwrap();
        send("1").unwrap();
        send('1').unwrap_err();
        send_async(1).await.unwrap();
        send_async("1").await.unwrap();
        send_async('1').await.unwrap_err();
        A.call_with(1).unwrap();
        A.call_with("1").unwrap_err();
        B.call_with(1).unwrap();
        B.call_with("1").unwrap_err();
    }

    #[test]
    fn each_implementor_has_a_breaker_and_permits_of_its_own() {
        freeze_time();
        assert!(matches!(A.fail(true), Err(Failure::Own)));
        let rejected = A.fail(false).unwrap_err();
        assert!(matches!(
            rejected,
            Failure::Premier(Error::CircuitOpen { .. })
        ));
        B.fail(false).unwrap();
        A.nested(&|| B.nested(&|| Ok(()))).unwrap();
        A.nested(&|| A.nested(&|| Ok(()))).unwrap_err();
    }

    #[test]
    fn a_limit_is_listed_with_its_instance() {
        freeze_time();
        let _ = (C.call(), Times::<7>::call(), listed(1), listed("1"));
        let names: Vec<_> = limits::list().into_iter().map(|limit| limit.name).collect();
        for name in [
            "frozen_time::instances:<C as Kind>::call",
            "frozen_time::instances:Times<7>::call",
            "frozen_time::instances:listed",
        ] {
            assert!(
                names.iter().any(|listed| **listed == *name),
                "{name} of {names:?}"
            );
        }
    }
}
