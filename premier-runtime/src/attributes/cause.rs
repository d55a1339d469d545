//! Finds the [`crate::Error`] in the error of a function of any type.
//!
//! The expansion calls a method on `&&&&&&Cause(&error)`. Method lookup removes one reference
//! after another and chooses the first trait that is implemented: for premier's own error, then for
//! boxed errors, then for all errors, then for all types.

use std::error::Error as StdError;
use std::io;
use std::ops::Deref;

use crate::error::Error;

/// The error of a function.
#[derive(Debug)]
pub struct Cause<'a, E>(pub &'a E);

macro_rules! causes {
    ($($name:ident: $receiver:ty, [$($bound:tt)*], |$error:ident| $found:expr;)*) => {$(
        /// Looks for premier's error in one kind of error.
        pub trait $name<'a> {
            /// Returns the first one in the chain of sources.
            fn premier_cause(&self) -> Option<&'a Error>;
        }

        impl<'a, E: $($bound)*> $name<'a> for $receiver {
            fn premier_cause(&self) -> Option<&'a Error> {
                let $error = self.0;
                $found
            }
        }
    )*};
}

causes! {
    CauseInSendBox: &&&&Cause<'a, E>, [Deref<Target = dyn StdError + Send + Sync>], |error| in_chain(&**error);
    CauseInBox: &&&Cause<'a, E>, [Deref<Target = dyn StdError + Send>], |error| in_chain(&**error);
    CauseInLocalBox: &&Cause<'a, E>, [Deref<Target = dyn StdError>], |error| in_chain(&**error);
    // The error may not be `'static`, so only its sources can be downcast.
    CauseInError: &Cause<'a, E>, [StdError], |error| error.source().and_then(in_chain);
}

/// Looks into premier's own error, and into an I/O error, which may contain one.
pub trait CauseItself<'a> {
    /// Returns the first one in the chain of sources.
    fn premier_cause(&self) -> Option<&'a Error>;
}

impl<'a> CauseItself<'a> for &&&&&Cause<'a, Error> {
    fn premier_cause(&self) -> Option<&'a Error> {
        Some(self.0)
    }
}

impl<'a> CauseItself<'a> for &&&&&Cause<'a, io::Error> {
    fn premier_cause(&self) -> Option<&'a Error> {
        in_chain(self.0)
    }
}

/// The last resort: the type of the error is not an error type.
pub trait NoCause<'a> {
    /// Returns `None`.
    fn premier_cause(&self) -> Option<&'a Error> {
        None
    }
}

impl<'a, E> NoCause<'a> for Cause<'a, E> {}

fn in_chain<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // `source` of an I/O error skips the error that it contains.
        next = match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Whether premier refused the call, so that the function did not run. For `on` and `when`, the macros have
/// a copy of the variants of [`Error::is_refusal`] (`parse/error_filter.rs`).
#[must_use]
pub fn is_refusal(error: Option<&Error>) -> bool {
    error.is_some_and(Error::is_refusal)
}
