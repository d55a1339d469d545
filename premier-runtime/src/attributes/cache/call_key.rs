//! The key of a call that found no value at once.

use std::sync::Arc;

use super::arguments::KeptArguments;
use crate::key::subject::Subject;

/// The key of a call that found no value at once.
#[derive(Clone, Debug)]
pub(super) struct CallKey {
    pub(super) text: Box<str>,
    /// The arguments, if the text does not identify them.
    pub(super) arguments: Option<Arc<KeptArguments>>,
}

impl CallKey {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject::Text(&self.text)
    }

    /// Whether a value that was kept with these arguments belongs to this call.
    pub(super) fn is_of(&self, kept: Option<&KeptArguments>) -> bool {
        kept == self.arguments.as_deref()
    }

    /// The JSON by which other processes compare the arguments, empty if the text identifies them; `None` if the
    /// value cannot be shared.
    pub(super) fn shared_arguments(&self) -> Option<&str> {
        match &self.arguments {
            Some(arguments) => arguments.json(),
            None => Some(""),
        }
    }
}
