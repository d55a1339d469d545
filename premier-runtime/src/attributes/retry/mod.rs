//! `#[retry]` calls a function again when it fails.

mod args;
mod attempts;
mod backoff;

use std::time::Duration;

pub use self::args::{DelayFunction, RetrySpec};
pub use self::attempts::{Attempts, RetrySite};
pub use self::backoff::Strategy;
use crate::error::Error;

/// The argument of `on_retry`: an attempt has failed, and another one follows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a, E> {
    /// The function, as `module::path:function`.
    pub function: &'a str,
    /// The number of the attempt that has failed. The first attempt has number 1.
    pub attempt: u32,
    /// The time until the next attempt.
    pub delay: Duration,
    /// The error of the attempt.
    pub error: &'a E,
}

/// Error types that a call can return if an argument of the attribute turns out to be invalid at the
/// first call.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a `premier::Error` about an invalid argument of #[retry]",
    label = "does not implement `From<premier::Error>`",
    note = "literals are checked at compile time; other values are checked at the first call, and an invalid one is a `premier::Error`",
    note = "either write the arguments as literals, or implement `From<premier::Error>` for `{Self}`"
)]
pub trait ErrorOfBadValue: Sized {
    /// Converts an error of premier's.
    fn from_bad_value(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> ErrorOfBadValue for E {
    fn from_bad_value(error: Error) -> Self {
        error.into()
    }
}

/// Arguments that can be passed to several attempts.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot be used for more than one attempt",
    label = "does not implement `Clone`",
    note = "#[retry] clones arguments that are passed by value, for each attempt: derive `Clone` for `{Self}`, pass a reference, or pass it in an `Arc`"
)]
pub trait ArgumentOfRetry: Sized {
    /// Returns a clone for one attempt.
    #[must_use]
    fn for_attempt(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> ArgumentOfRetry for T {
    fn for_attempt(&self) -> Self {
        self.clone()
    }
}
