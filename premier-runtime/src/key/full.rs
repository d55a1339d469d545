//! The key under which a store keeps the state of a limit.

use std::fmt;

/// The key under which a store keeps a state: `{keyspace}:{function}:{algo}`, followed by `:{key}`
/// for a keyed limit. `Display` writes this form.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key<'a> {
    prefix: &'a str,
    subject: Option<&'a str>,
}

impl<'a> Key<'a> {
    /// Creates a key of its prefix, `{keyspace}:{function}:{algo}`, and the caller's part.
    ///
    /// Limits create the keys of their requests. This is for stores that keep a request for later, and for
    /// their tests.
    ///
    /// ```
    /// use premier::Key;
    ///
    /// let key = Key::new("shop:search:token_bucket", Some("alice"));
    /// assert_eq!(key.to_string(), "shop:search:token_bucket:alice");
    /// ```
    #[must_use]
    pub const fn new(prefix: &'a str, subject: Option<&'a str>) -> Self {
        Self { prefix, subject }
    }

    /// Returns `{keyspace}:{function}:{algo}`, which all keys of a limit share.
    #[must_use]
    pub const fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// Returns the caller's part of the key, such as a user name, or `None` for a limit without keys.
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
