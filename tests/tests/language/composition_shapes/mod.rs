//! Every attribute, and all of them together, on every shape of function. The functions must compile without a
//! warning, and each must return what its body returns.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
// These lints are about the functions under test.
#![allow(
    clippy::future_not_send,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_async,
    clippy::unused_self
)]

/// Each module of functions needs a type of its own.
macro_rules! service {
    () => {
        #[derive(Clone, Debug)]
        struct Service {
            name: String,
            count: u32,
        }
    };
}

mod asynchronous;
mod borrowing;
mod imported;
mod infallible;
mod lending;
mod owned;
mod without_result;

use std::fmt::{self, Display};

use premier::Error;

type AppResult<T> = Result<T, Failure>;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Failure(String);

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::num::ParseIntError> for Failure {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(error.to_string())
    }
}

fn send<T: Send>(value: T) -> T {
    value
}
