//! What a function returns when an attribute rejects a call.

use super::output_type::OutputType;
use crate::error::Error;

/// Error types that a denied call can return.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a `premier::Error`",
    label = "does not implement `From<premier::Error>`",
    note = "either implement `From<premier::Error>` for `{Self}` (with thiserror: a variant `Throttled(#[from] premier::Error)`)",
    note = "or give the attribute `on_reject = |error| …`, which supplies the value to return"
)]
pub trait ErrorOfRejection: Sized {
    /// Converts an error of premier's.
    fn from_rejection(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> ErrorOfRejection for E {
    fn from_rejection(error: Error) -> Self {
        error.into()
    }
}

/// Outputs that can be an error of premier's. They return the error of an invalid argument where `on_reject` makes
/// the output of all other rejections.
pub trait BadArgumentOfResult {
    /// What the function returns.
    type Output;

    /// Returns the error.
    fn premier_output(&self, error: Error) -> Self::Output;
}

impl<T, E: From<Error>> BadArgumentOfResult for OutputType<Result<T, E>> {
    type Output = Result<T, E>;

    fn premier_output(&self, error: Error) -> Result<T, E> {
        Err(error.into())
    }
}

/// All other outputs.
pub trait BadArgumentOfAny {
    /// What the function returns.
    type Output;

    /// Panics with the message of the error, which names the attribute and the function.
    fn premier_output(&self, error: Error) -> Self::Output;
}

impl<O> BadArgumentOfAny for &OutputType<O> {
    type Output = O;

    fn premier_output(&self, error: Error) -> O {
        panic_with(error)
    }
}

/// Panics with the message of an error that the function cannot return.
///
/// # Panics
/// Always.
#[cold]
pub fn panic_with<O>(error: Error) -> O {
    panic!("{error}")
}
