//! Failures of calls, and whether a failure concerns the whole connection.

use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::Error;

/// The reason why a call failed, in one line, with the error of the driver if there is one.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    reason: Arc<str>,
    source: Option<RedisError>,
}

impl<T: Into<Arc<str>>> From<T> for Failure {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// Returns whether an error means that the connection or the server is unusable for now, as opposed
/// to an error about one call.
pub(super) fn is_connection_error(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            ) | ErrorKind::ClusterConnectionNotFound
        )
        || REFUSALS.iter().any(|refusal| {
            // Before Redis 7, an error of a command in a script is embedded in the message.
            error.code() == Some(refusal)
                || error
                    .detail()
                    .is_some_and(|detail| detail.contains(&format!("-{refusal} ")))
        })
}

/// Error codes with which a reachable server rejects every write, regardless of the key.
const REFUSALS: [&str; 6] = [
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "UNKILLABLE",
];

/// Describes an error in one line of at most 256 characters.
pub(super) fn describe(error: RedisError) -> Failure {
    let text: String = error
        .to_string()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(256)
        .collect();
    Failure {
        reason: text.into(),
        source: Some(error),
    }
}

/// The error for a failure.
pub(super) fn backend(failure: Failure) -> Error {
    let error = Error::backend("redis", failure.reason);
    match failure.source {
        Some(source) => error.with_source(source),
        None => error,
    }
}
