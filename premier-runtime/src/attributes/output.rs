//! Outputs of functions that are a `Result`, or are put into one.

use std::marker::PhantomData;

use super::output_type::OutputType;

/// A `Result`, under any name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Result`",
    label = "is not a `Result`",
    note = "#[retry], #[circuit_breaker] and #[fallback] look at the error of the function, so it has to return a `Result`",
    note = "the other attributes treat a type whose name ends in `Result` as one: if it is another type, give one of them the argument `result = false`, and the function returns `Result<{Self}, premier::Error>`"
)]
pub trait ResultOutput<T, E> {
    /// Returns `Err(error)`.
    fn from_error(error: E) -> Self;

    /// Returns the error if there is one that is a failure.
    ///
    /// # Errors
    /// Otherwise returns the output.
    fn into_error_if(self, is_failure: impl FnOnce(&E) -> bool) -> Result<E, Self>
    where
        Self: Sized;

    /// Returns the output as a `Result` of references.
    ///
    /// # Errors
    /// If the output is `Err`.
    fn as_result(&self) -> Result<&T, &E>;
}

impl<T, E> ResultOutput<T, E> for Result<T, E> {
    #[inline]
    fn from_error(error: E) -> Self {
        Err(error)
    }

    #[inline]
    fn into_error_if(self, is_failure: impl FnOnce(&E) -> bool) -> Result<E, Self> {
        match self {
            Err(error) if is_failure(&error) => Ok(error),
            output => Err(output),
        }
    }

    #[inline]
    fn as_result(&self) -> Result<&T, &E> {
        self.as_ref()
    }
}

/// An output that an expansion may put into a `Result`: any type but a `Result`.
#[diagnostic::on_unimplemented(
    message = "this output is a `Result` under a name that does not end in `Result`",
    label = "is a `Result`",
    note = "give an attribute of the function the argument `result`: then premier's errors become errors of this type",
    note = "with `result = false` the function returns a `Result` of this output and `premier::Error`"
)]
pub trait NoResult {
    /// For expansions.
    #[doc(hidden)]
    fn check(self);
}

/// The output is not a `Result`.
impl NoResult for () {
    #[inline]
    fn check(self) {}
}

/// Finds that an output, which is about to be put into a `Result`, is one itself.
pub trait WrapResult<O> {
    /// Names the output.
    fn premier_found(&self) -> PhantomData<O>;
}

impl<T, E> WrapResult<Result<T, E>> for OutputType<Result<T, E>> {
    #[inline]
    fn premier_found(&self) -> PhantomData<Result<T, E>> {
        PhantomData
    }
}

/// Finds nothing in all other outputs.
pub trait WrapOther {
    /// Returns `()`.
    #[inline]
    fn premier_found(&self) {}
}

impl<O> WrapOther for &OutputType<O> {}
