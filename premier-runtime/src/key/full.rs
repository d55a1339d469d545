//! The full key of a state.

use std::fmt;

/// The full key of a state: `{keyspace}:{function}:{algo}`, plus `:{key}` for a keyed limit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key<'a> {
    prefix: &'a str,
    user: Option<&'a str>,
}

impl<'a> Key<'a> {
    pub(crate) const fn new(prefix: &'a str, user: Option<&'a str>) -> Self {
        Self { prefix, user }
    }

    /// Everything before the caller's part.
    #[must_use]
    pub const fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The caller's part, if the limit is keyed.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix)?;
        match self.user {
            Some(user) => write!(formatter, ":{user}"),
            None => Ok(()),
        }
    }
}
