//! Finds the `retry_after` of a [`crate::Error`] in the error of a function of any type.
//!
//! The expansion calls a method on `&&&&&&RetryAfter(&error)`. Method lookup removes one reference
//! after another and chooses the first trait that is implemented: for premier's own error, then for
//! boxed errors, then for all errors, then for all types.

use std::error::Error as StdError;
use std::io;
use std::ops::Deref;
use std::time::Duration;

use crate::error::Error;

/// The error of a function.
#[derive(Debug)]
pub struct RetryAfter<'a, E>(pub &'a E);

macro_rules! retry_after {
    ($($name:ident: $receiver:ty, [$($bound:tt)*], |$error:ident| $found:expr;)*) => {$(
        /// Looks for a `retry_after` in one kind of error.
        pub trait $name {
            /// Returns how long to wait before a retry, if the error says so.
            fn premier_retry_after(&self) -> Option<Duration>;
        }

        impl<E: $($bound)*> $name for $receiver {
            fn premier_retry_after(&self) -> Option<Duration> {
                let $error = self.0;
                $found
            }
        }
    )*};
}

retry_after! {
    RetryAfterInSendBox: &&&&RetryAfter<'_, E>, [Deref<Target = dyn StdError + Send + Sync>], |error| in_chain(&**error);
    RetryAfterInBox: &&&RetryAfter<'_, E>, [Deref<Target = dyn StdError + Send>], |error| in_chain(&**error);
    RetryAfterInLocalBox: &&RetryAfter<'_, E>, [Deref<Target = dyn StdError>], |error| in_chain(&**error);
    // The error may not be `'static`, so only its sources can be downcast.
    RetryAfterInError: &RetryAfter<'_, E>, [StdError], |error| error.source().and_then(in_chain);
}

/// Looks into premier's own error, and into an I/O error, which may contain one.
pub trait RetryAfterItself {
    /// Returns how long to wait before a retry, if the error says so.
    fn premier_retry_after(&self) -> Option<Duration>;
}

impl RetryAfterItself for &&&&&RetryAfter<'_, Error> {
    fn premier_retry_after(&self) -> Option<Duration> {
        self.0.retry_after()
    }
}

impl RetryAfterItself for &&&&&RetryAfter<'_, io::Error> {
    fn premier_retry_after(&self) -> Option<Duration> {
        in_chain(self.0)
    }
}

/// The last resort: the type of the error is not an error type.
pub trait NoRetryAfter {
    /// Returns `None`.
    fn premier_retry_after(&self) -> Option<Duration> {
        None
    }
}

impl<E> NoRetryAfter for RetryAfter<'_, E> {}

fn in_chain(error: &(dyn StdError + 'static)) -> Option<Duration> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(Some(hint)) = error.downcast_ref::<Error>().map(Error::retry_after) {
            return Some(hint);
        }
        // `source` of an I/O error skips the error that it contains.
        next = match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
