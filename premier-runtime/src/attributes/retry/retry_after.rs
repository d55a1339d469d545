//! Finds a `retry_after` of premier's in the error of a function, whatever its type.
//!
//! The expansion calls a method on `&&&&&&RetryAfter(&error)`. The compiler takes the first trait below
//! whose bounds the type meets, from the one for the most references on: premier's own error, a
//! boxed one, an error of any kind, and at last anything.

use std::error::Error as StdError;
use std::io;
use std::ops::Deref;
use std::time::Duration;

use crate::error::Error;

/// An error to look into.
#[derive(Debug)]
pub struct RetryAfter<'a, E>(pub &'a E);

macro_rules! retry_after {
    ($($name:ident: $receiver:ty, [$($bound:tt)*], |$error:ident| $found:expr;)*) => {$(
        /// Looks into one kind of error.
        pub trait $name {
            /// How long to wait before a retry, if the error tells.
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
    // Not `'static`, which nobody asks of an error: only what it comes from can be told apart.
    RetryAfterInError: &RetryAfter<'_, E>, [StdError], |error| error.source().and_then(in_chain);
}

/// The error is premier's own, or one of the standard library's that may be.
pub trait RetryAfterItself {
    /// How long to wait before a retry, if the error tells.
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

/// Of last resort: nothing is known of the error.
pub trait NoRetryAfter {
    /// Never tells.
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
        // What an I/O error was made of is not among its sources.
        next = match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
