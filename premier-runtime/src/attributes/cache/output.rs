//! Which part of the output of a function is cached.

use std::marker::PhantomData;

/// Selects what is cached of an output of the type `O`. The expansion calls `premier_cached` on
/// `&Output::<O>::new()`, and method resolution takes [`CachedOk`] if `O` is a `Result`,
/// [`CachedWhole`] otherwise.
#[derive(Debug)]
pub struct Output<O>(PhantomData<fn() -> O>);

impl<O> Output<O> {
    /// For a function that returns `O`.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "only expansions make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Provides the part of a `Result`.
pub trait CachedOk {
    /// The type of the part.
    type Part;

    /// Returns the part.
    fn premier_cached(&self) -> Self::Part;
}

impl<T, E> CachedOk for Output<Result<T, E>> {
    type Part = OkPart<T, E>;

    #[inline]
    fn premier_cached(&self) -> OkPart<T, E> {
        OkPart(PhantomData)
    }
}

/// Provides the part of all other outputs.
pub trait CachedWhole {
    /// The type of the part.
    type Part;

    /// Returns the part.
    fn premier_cached(&self) -> Self::Part;
}

impl<O> CachedWhole for &Output<O> {
    type Part = Whole<O>;

    #[inline]
    fn premier_cached(&self) -> Whole<O> {
        Whole(PhantomData)
    }
}

/// The part of an output that is cached.
pub trait CachedPart {
    /// What the function returns.
    type Output;
    /// What is cached of it.
    type Value;

    /// Returns what to cache of an output. `None` if the function failed.
    fn value<'a>(&self, output: &'a Self::Output) -> Option<&'a Self::Value>;

    /// Returns the output for a cached value.
    fn output(&self, value: Self::Value) -> Self::Output;
}

/// The value of `Ok`.
#[derive(Debug)]
pub struct OkPart<T, E>(PhantomData<fn() -> (T, E)>);

impl<T, E> CachedPart for OkPart<T, E> {
    type Output = Result<T, E>;
    type Value = T;

    #[inline]
    fn value<'a>(&self, output: &'a Result<T, E>) -> Option<&'a T> {
        output.as_ref().ok()
    }

    #[inline]
    fn output(&self, value: T) -> Result<T, E> {
        Ok(value)
    }
}

/// The whole output.
#[derive(Debug)]
pub struct Whole<O>(PhantomData<fn() -> O>);

impl<O> CachedPart for Whole<O> {
    type Output = O;
    type Value = O;

    #[inline]
    fn value<'a>(&self, output: &'a O) -> Option<&'a O> {
        Some(output)
    }

    #[inline]
    fn output(&self, value: O) -> O {
        value
    }
}
