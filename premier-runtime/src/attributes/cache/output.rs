//! What is cached of the output of a function.

use std::marker::PhantomData;

use crate::attributes::output_type::OutputType;

/// Selects the value of `Ok`.
pub trait CachedOk {
    /// The selection.
    type Selected;

    /// Returns the selection.
    fn premier_cached(&self) -> Self::Selected;
}

impl<T, E> CachedOk for OutputType<Result<T, E>> {
    type Selected = OkValue<T, E>;

    #[inline]
    fn premier_cached(&self) -> OkValue<T, E> {
        OkValue(PhantomData)
    }
}

/// Selects the whole of all other outputs.
pub trait CachedWhole {
    /// The selection.
    type Selected;

    /// Returns the selection.
    fn premier_cached(&self) -> Self::Selected;
}

impl<O> CachedWhole for &OutputType<O> {
    type Selected = WholeOutput<O>;

    #[inline]
    fn premier_cached(&self) -> WholeOutput<O> {
        WholeOutput(PhantomData)
    }
}

/// A value of a cache that keeps only `Some`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `Option`",
    label = "is not an `Option`",
    note = "with `only_some`, #[cache] keeps what is `Some`, so the function has to return an `Option` or a `Result` of one"
)]
pub trait OptionalValue {
    /// Returns whether there is a value to keep.
    fn is_some(&self) -> bool;
}

impl<T> OptionalValue for Option<T> {
    #[inline]
    fn is_some(&self) -> bool {
        Option::is_some(self)
    }
}

/// What is cached of an output.
pub trait CachedOutput {
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
pub struct OkValue<T, E>(PhantomData<fn() -> (T, E)>);

impl<T, E> CachedOutput for OkValue<T, E> {
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
pub struct WholeOutput<O>(PhantomData<fn() -> O>);

impl<O> CachedOutput for WholeOutput<O> {
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
