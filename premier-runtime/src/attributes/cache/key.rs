//! The key of a cached value.

use std::any::TypeId;
use std::fmt::{self, Display, Write};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use moka::Equivalent;

use crate::key::buffer::KeyBuffer;
use crate::key::subject::{KeyOf, Subject};

/// The key in memory. Instances of one generic function may yield different types.
#[derive(Clone, Debug)]
pub(super) struct MemoryKey {
    of: TypeId,
    name: Name,
}

/// What stands for the call, whatever its type.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Number(u64),
    Text(Arc<str>),
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct BorrowedKey<'a> {
    of: TypeId,
    user: Subject<'a>,
}

impl<'a> BorrowedKey<'a> {
    #[inline]
    pub(super) fn new(of: TypeId, user: Subject<'a>) -> Self {
        Self {
            of,
            user: user.canonical(),
        }
    }

    pub(super) const fn user(&self) -> Subject<'a> {
        self.user
    }
}

impl MemoryKey {
    pub(super) const fn name(&self) -> &Name {
        &self.name
    }
}

impl Name {
    #[inline]
    pub(super) fn user(&self) -> Subject<'_> {
        match self {
            Self::Number(number) => Subject::Number(*number),
            Self::Text(text) => Subject::Text(text),
        }
    }
}

impl From<BorrowedKey<'_>> for MemoryKey {
    fn from(key: BorrowedKey<'_>) -> Self {
        Self {
            of: key.of,
            name: match key.user {
                Subject::Number(number) => Name::Number(number),
                Subject::Text(text) => Name::Text(text.into()),
            },
        }
    }
}

impl PartialEq for MemoryKey {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.name == other.name
    }
}

impl Eq for MemoryKey {}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.user().equivalent(other)
    }
}

impl Eq for Name {}

impl Hash for MemoryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user().hash(state);
    }
}

impl Hash for BorrowedKey<'_> {
    /// Nearly all functions yield one type: to tell others apart when they meet is enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
    }
}

impl Equivalent<MemoryKey> for BorrowedKey<'_> {
    fn equivalent(&self, other: &MemoryKey) -> bool {
        self.of == other.of && self.user.equivalent(&other.name)
    }
}

impl Equivalent<Name> for Subject<'_> {
    #[inline]
    fn equivalent(&self, other: &Name) -> bool {
        match (self, other) {
            (Self::Number(one), Name::Number(other)) => one == other,
            (Self::Text(one), Name::Text(other)) => **one == **other,
            _ => false,
        }
    }
}

/// All arguments of a call as one key: each by its `Display`, joined by `:`. Where there are
/// several, a `:` or `\` within one is escaped by `\`, so that no two calls share a key.
pub struct Parts<'a>(pub &'a [&'a dyn Display]);

impl Display for Parts<'_> {
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
        for (nth, part) in self.0.iter().enumerate() {
            if nth > 0 {
                formatter.write_char(':')?;
            }
            write!(Escape(formatter), "{part}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Parts({self})")
    }
}

/// Arguments that can be part of a key.
#[diagnostic::on_unimplemented(
    message = "an argument of type `{Self}` cannot be part of a cache's key",
    label = "does not implement `Display`",
    note = "without `key = …` the key of #[cache] is made of all arguments by their `Display`: give `key = …` over those that matter"
)]
pub trait KeyPart {
    /// The argument as text.
    fn as_display(&self) -> &dyn Display;
}

#[diagnostic::do_not_recommend]
impl<T: Display> KeyPart for T {
    fn as_display(&self) -> &dyn Display {
        self
    }
}

/// An argument that is the whole key.
pub fn only_part<T: KeyPart>(argument: &T) -> KeyOf<'_, T> {
    KeyOf::new(argument, |argument| {
        KeyBuffer::format(argument.as_display())
    })
}

/// An argument as part of a key.
pub fn key_part<T: KeyPart>(argument: &T) -> &dyn Display {
    argument.as_display()
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn no_two_calls_share_a_key() {
        let key = |parts: &[&str]| {
            let parts: Vec<&dyn std::fmt::Display> = parts
                .iter()
                .map(|part| part as &dyn std::fmt::Display)
                .collect();
            Parts(&parts).to_string()
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
        for (nth, one) in all.iter().enumerate() {
            assert!(!all[nth + 1..].contains(one), "{one}");
        }
    }
}
