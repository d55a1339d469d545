//! Failures of calls, and whether a failure concerns the whole connection.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::Error;

/// The reason why a call failed, in one line.
pub(super) type Failure = Arc<str>;

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
pub(super) fn describe(error: &RedisError) -> Failure {
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
    text.into()
}

/// The error for a failure.
pub(super) fn backend(message: Failure) -> Error {
    Error::backend("redis", message)
}
