//! Formats a caller's key on the stack. Keys longer than 120 bytes are allocated.

use std::fmt::{self, Display, Write};

const INLINE: usize = 120;

/// The formatted text of a key.
#[derive(Debug)]
pub(crate) struct KeyBuffer {
    inline: [u8; INLINE],
    len: usize,
    /// The whole key if it is longer than `inline`; otherwise empty.
    spilled: String,
}

impl KeyBuffer {
    /// Formats a key with its `Display` implementation.
    ///
    /// # Panics
    /// When `Display` returns an error, as `to_string` does.
    pub(crate) fn format<K: Display + ?Sized>(key: &K) -> Self {
        let mut buffer = Self {
            inline: [0; INLINE],
            len: 0,
            spilled: String::new(),
        };
        write!(buffer, "{key}").expect("a Display implementation returned an error unexpectedly");
        buffer
    }

    pub(crate) fn as_str(&self) -> &str {
        if self.spilled.is_empty() {
            // The bytes are valid UTF-8, because only whole `str`s are written.
            str::from_utf8(&self.inline[..self.len]).unwrap_or_default()
        } else {
            &self.spilled
        }
    }
}

impl Write for KeyBuffer {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.spilled.is_empty() {
            if let Some(target) = self.inline.get_mut(self.len..self.len + part.len()) {
                target.copy_from_slice(part.as_bytes());
                self.len += part.len();
                return Ok(());
            }
            self.spilled = self.as_str().to_owned();
        }
        self.spilled.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_come_back_as_they_were() {
        for len in [0, 1, 119, 120, 121, 122, 4096] {
            let key = "é".repeat(len / 2) + &"x".repeat(len % 2);
            assert_eq!(KeyBuffer::format(&key).as_str(), key);
            assert_eq!(
                KeyBuffer::format(&format_args!("{key}:{key}")).as_str(),
                format!("{key}:{key}")
            );
        }
    }
}
