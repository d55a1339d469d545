//! The full key of a state.

use std::fmt;

/// The full key of a state: `{keyspace}:{function}:{algo}`, plus `:{key}` for a keyed limit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key<'a> {
    prefix: &'a str,
    subject: Option<&'a str>,
}

impl<'a> Key<'a> {
    pub(crate) const fn new(prefix: &'a str, subject: Option<&'a str>) -> Self {
        Self { prefix, subject }
    }

    /// Everything before the caller's part.
    #[must_use]
    pub const fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The caller's part, if the limit is keyed.
    #[must_use]
    pub const fn subject(&self) -> Option<&'a str> {
        self.subject
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix)?;
        match self.subject {
            Some(subject) => write!(formatter, ":{subject}"),
            None => Ok(()),
        }
    }
}
