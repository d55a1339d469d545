//! Keys in messages.

use std::fmt;

/// The most characters of a key in a message. A client may send a key of a megabyte.
const MAX_KEY_CHARS: usize = 64;

/// Writes a key escaped and cut after [`MAX_KEY_CHARS`] characters.
pub(crate) struct EscapedKey<'a>(pub(crate) &'a str);

impl fmt::Display for EscapedKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0;
        let shown = key
            .char_indices()
            .nth(MAX_KEY_CHARS)
            .map_or(key, |(end, _)| &key[..end]);
        write!(formatter, "{}", shown.escape_debug())?;
        formatter.write_str(if shown.len() < key.len() { "…" } else { "" })
    }
}

/// Writes ` for key "…"` with an [`EscapedKey`], or nothing for a limit without keys.
pub(super) struct ForKey<'a>(pub(super) &'a Option<Box<str>>);

impl fmt::Display for ForKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(formatter, " for key \"{}\"", EscapedKey(key)),
            None => Ok(()),
        }
    }
}
