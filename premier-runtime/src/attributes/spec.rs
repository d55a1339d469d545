//! What the specifications of all attributes share.

use crate::error::Error;

pub(crate) fn note<T>(problem: &mut Option<Error>, result: Result<T, Error>) -> Option<T> {
    result
        .map_err(|error| *problem = problem.take().or(Some(error)))
        .ok()
}
