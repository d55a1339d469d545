//! Escaping the parts of a key that are joined by `:`.

use std::fmt::{self, Write};

/// Writes a backslash before every `:` and `\`, so that different lists of parts have different texts.
pub(crate) struct EscapingWriter<'a, W>(pub(crate) &'a mut W);

impl<W: Write> Write for EscapingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive([':', '\\']) {
            match piece.strip_suffix([':', '\\']) {
                Some(plain) => {
                    self.0.write_str(plain)?;
                    self.0.write_char('\\')?;
                    self.0.write_str(&piece[plain.len()..])?;
                }
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}
