//! What a caller returns that has waited for a failed computation.
//!
//! If the error is `Clone`, every waiting caller gets a clone. Otherwise one of them tries once more. If that fails
//! as well, the others return [`Error::LoadFailed`], if the error type of the function implements `From` for it;
//! if not, all compute at the same time, because attempts one after the other would take long just when the
//! backend is down.

use std::any::Any;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::Arc;

use crate::attributes::output_type::OutputType;
use crate::error::Error;

/// A failure, for the callers that have waited for the computation.
#[derive(Clone)]
pub(super) enum Failure {
    /// The error itself. Each caller gets a clone.
    Error(Arc<dyn Any + Send + Sync>),
    /// The text of an error that cannot be cloned.
    Message(Arc<str>),
    /// Only the fact of the failure.
    Unknown,
}

impl Failure {
    /// Whether all callers get the error itself.
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

impl Debug for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error(_) => "Error",
            Self::Message(_) => "Message",
            Self::Unknown => "Unknown",
        })
    }
}

/// Copies failures of a function that returns `O`.
pub struct Failures<O> {
    /// The failure that an output is.
    copy: fn(&O) -> Failure,
    /// Makes an output of a failure of the function with this name, or `None` if the caller has to compute.
    output: fn(&Failure, &str) -> Option<O>,
}

impl<O> Failures<O> {
    pub(super) fn copy(&self, output: &O) -> Failure {
        (self.copy)(output)
    }

    pub(super) fn output(&self, failure: &Failure, function: &str) -> Option<O> {
        (self.output)(failure, function)
    }
}

impl<O> Clone for Failures<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Failures<O> {}

impl<O> Debug for Failures<O> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Failures").finish_non_exhaustive()
    }
}

/// Errors that can be cloned for other threads.
pub trait FailureByClone {
    /// What the function returns.
    type Output;
    /// Returns clones of the error.
    fn premier_failures(&self) -> Failures<Self::Output>;
}

impl<T, E: Clone + Send + Sync + 'static> FailureByClone for &&&OutputType<Result<T, E>> {
    type Output = Result<T, E>;

    fn premier_failures(&self) -> Failures<Result<T, E>> {
        Failures {
            copy: |output| match output {
                Ok(_) => Failure::Unknown,
                Err(error) => Failure::Error(Arc::new(error.clone())),
            },
            output: |failure, _| match failure {
                Failure::Error(error) => error.downcast_ref::<E>().cloned().map(Err),
                Failure::Message(_) | Failure::Unknown => None,
            },
        }
    }
}

/// Errors with a text that can be made of an error of premier's.
pub trait FailureByMessage {
    /// What the function returns.
    type Output;
    /// Returns errors of premier's with the text.
    fn premier_failures(&self) -> Failures<Self::Output>;
}

impl<T, E: From<Error> + Display> FailureByMessage for &&OutputType<Result<T, E>> {
    type Output = Result<T, E>;

    fn premier_failures(&self) -> Failures<Result<T, E>> {
        Failures {
            copy: |output| match output {
                Ok(_) => Failure::Unknown,
                // With its causes, where the error writes them.
                Err(error) => Failure::Message(format!("{error:#}").into()),
            },
            output: load_failed,
        }
    }
}

/// Other errors that can be made of an error of premier's.
pub trait FailureByError {
    /// What the function returns.
    type Output;
    /// Returns errors of premier's.
    fn premier_failures(&self) -> Failures<Self::Output>;
}

impl<T, E: From<Error>> FailureByError for &OutputType<Result<T, E>> {
    type Output = Result<T, E>;

    fn premier_failures(&self) -> Failures<Result<T, E>> {
        Failures {
            copy: |_| Failure::Message("it returned an error".into()),
            output: load_failed,
        }
    }
}

fn load_failed<T, E: From<Error>>(failure: &Failure, function: &str) -> Option<Result<T, E>> {
    match failure {
        Failure::Message(message) => Some(Err(Error::LoadFailed {
            function: function.into(),
            message: Arc::clone(message),
        }
        .into())),
        Failure::Error(_) | Failure::Unknown => None,
    }
}

/// All other outputs.
pub trait NoFailure {
    /// What the function returns.
    type Output;
    /// Returns no failure.
    fn premier_failures(&self) -> Failures<Self::Output>;
}

impl<O> NoFailure for OutputType<O> {
    type Output = O;

    fn premier_failures(&self) -> Failures<O> {
        Failures {
            copy: |_| Failure::Unknown,
            output: |_, _| None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Cloned(u32);

    struct Unshareable;

    struct FromPremier(Error);

    impl From<Error> for FromPremier {
        fn from(error: Error) -> Self {
            Self(error)
        }
    }

    macro_rules! failures {
        ($output:ty) => {
            (&&&&OutputType::<$output>::new()).premier_failures()
        };
    }

    #[test]
    fn the_type_of_the_error_decides_what_others_get() {
        let by_clone = failures!(Result<u32, Cloned>);
        let failure = by_clone.copy(&Err(Cloned(7)));
        assert_eq!(by_clone.output(&failure, "load"), Some(Err(Cloned(7))));

        let by_message = failures!(io::Result<u32>);
        let failure = by_message.copy(&Err(io::Error::other("no route")));
        let error = by_message.output(&failure, "load").unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "another call of load has failed to compute the value: no route"
        );

        let by_error = failures!(Result<u32, FromPremier>);
        let failure = by_error.copy(&Ok(1));
        let Some(Err(FromPremier(error))) = by_error.output(&failure, "load") else {
            panic!("an error of premier's");
        };
        assert!(error.is_retryable() && !error.is_refusal());

        let none = failures!(Result<u32, Unshareable>);
        let failure = none.copy(&Err(Unshareable));
        assert!(none.output(&failure, "load").is_none());
        let whole = failures!(u32);
        assert_eq!(whole.output(&whole.copy(&1), "load"), None);
    }
}
