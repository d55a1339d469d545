//! Why a call has no answer, and what that says of the connection.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call has no answer, in one line.
pub(super) type Failure = Arc<str>;

/// Whether an error means that this connection or server cannot be used for now.
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
            // Before Redis 7 the reply to a script's command is in the middle of the text.
            error.code() == Some(refusal)
                || error
                    .detail()
                    .is_some_and(|detail| detail.contains(&format!("-{refusal} ")))
        })
}

/// How a server that answers refuses every write, whichever key it is for.
const REFUSALS: [&str; 6] = [
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "UNKILLABLE",
];

/// The error in one short line.
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
