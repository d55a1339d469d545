//! The default key of a cached function: all of its arguments.

use std::fmt::{self, Display, Write};

use crate::key::buffer::KeyBuffer;
use crate::key::subject::KeyOf;

/// All arguments of a call as one key: the `Display` of each, joined by `:`. If there are several
/// arguments, `\` escapes every `:` and `\` within one, so that different calls have different keys.
pub struct CompositeKey<'a>(pub &'a [&'a dyn Display]);

impl Display for CompositeKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for part in text.split_inclusive([':', '\\']) {
                    match part.strip_suffix([':', '\\']) {
                        Some(before) => {
                            self.0.write_str(before)?;
                            self.0.write_char('\\')?;
                            self.0.write_str(&part[before.len()..])?;
                        }
                        None => self.0.write_str(part)?,
                    }
                }
                Ok(())
            }
        }
        if let [only] = self.0 {
            return only.fmt(formatter);
        }
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_char(':')?;
            }
            write!(Escape(formatter), "{part}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CompositeKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CompositeKey({self})")
    }
}

/// An argument that can be part of a key.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot be part of a cache's key",
    label = "does not implement `Display`",
    note = "without `key = …` the key of #[cache] is made of all arguments by their `Display`: give `key = …` over those that matter"
)]
pub trait KeyArgument {
    /// The argument as text.
    fn as_display(&self) -> &dyn Display;
}

#[diagnostic::do_not_recommend]
impl<T: Display> KeyArgument for T {
    fn as_display(&self) -> &dyn Display {
        self
    }
}

/// Returns the key of a function whose only argument is `argument`.
pub fn only_argument<T: KeyArgument>(argument: &T) -> KeyOf<'_, T> {
    KeyOf::new(argument, |argument| {
        KeyBuffer::format(argument.as_display())
    })
}

/// Returns `argument` as one part of a key.
pub fn key_argument<T: KeyArgument>(argument: &T) -> &dyn Display {
    argument.as_display()
}

#[cfg(test)]
mod tests {
    use super::CompositeKey;

    #[test]
    fn different_arguments_make_different_keys() {
        let key = |parts: &[&str]| {
            let parts: Vec<&dyn std::fmt::Display> = parts
                .iter()
                .map(|part| part as &dyn std::fmt::Display)
                .collect();
            CompositeKey(&parts).to_string()
        };
        assert_eq!(key(&[]), "");
        assert_eq!(key(&["a:b"]), "a:b");
        assert_eq!(key(&["a", "b"]), "a:b");
        assert_eq!(key(&["a:", "b"]), "a\\::b");
        assert_eq!(key(&["a\\", "b"]), "a\\\\:b");
        let all = [
            key(&["a:b", "c"]),
            key(&["a", "b:c"]),
            key(&["a", "b", "c"]),
            key(&["a\\", "b:c"]),
            key(&["a\\:b", "c"]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{one}");
        }
    }
}
