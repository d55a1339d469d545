//! The conversion into an I/O error.

use std::io;

use super::Error;

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::BucketFull { .. }
            | Error::CircuitOpen { .. }
            | Error::ConcurrencyExceeded { .. }
            | Error::QuotaExceeded { .. }
            | Error::TooManyKeys { .. }
            | Error::TooManyWaiting { .. } => io::ErrorKind::WouldBlock,
            Error::Timeout { .. } => io::ErrorKind::TimedOut,
            Error::Config { .. } | Error::CostExceedsCapacity { .. } | Error::MissingKey { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
