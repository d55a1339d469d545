//! The default key of a cached function: the identity of all of its arguments.
//!
//! A value is stored under a text, as with `key = …`. The text of a string or an integer identifies it. Other
//! arguments may have equal texts, so their value is stored with the arguments and returned only for equal
//! ones. Of different calls with one text, only the last value is kept.
//!
//! Arguments are compared when no lock is held, for `Eq` is the user's code.

mod identity;
mod part;
mod probe;

use std::fmt::{self, Debug, Display, Formatter, Write};
use std::sync::Arc;

pub use self::identity::KeyArgument;
use self::part::KeptPart;
pub use self::part::Part;
pub use self::probe::{
    Argument, JsonBySerde, JsonOfReference, NoJson, NoText, PartByReference, PartByText,
    PartByValue, TextByDisplay,
};
use crate::key::buffer::KeyBuffer;
use crate::key::escape::EscapingWriter;
use crate::key::subject::{IntoSubject, Subject};

/// All arguments of a call.
///
/// Its text is the texts of all, joined by `:`. If there are several, `\` escapes every `:` and `\` within one,
/// so that calls have equal texts only if all of their arguments have.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(pub &'a [&'a dyn Part]);

impl Arguments<'_> {
    /// For a call with `key = …`.
    pub(super) const NONE: Self = Self(&[]);

    /// Whether the text of the call identifies it.
    #[inline]
    pub(super) fn are_text(&self) -> bool {
        self.0.iter().all(|part| part.is_text())
    }

    /// Returns copies of the arguments; `None` if the text identifies them.
    pub(super) fn keep(&self, is_shared: bool) -> Option<Arc<KeptArguments>> {
        if self.are_text() {
            return None;
        }
        Some(Arc::new(KeptArguments {
            parts: self.0.iter().map(|part| part.keep()).collect(),
            json: is_shared.then(|| self.json()).flatten(),
            hash: self.0.iter().fold(0, |hash: u64, part| {
                hash.rotate_left(1).wrapping_add(part.hash())
            }),
        }))
    }

    fn json(&self) -> Option<String> {
        let parts: Option<Vec<String>> = self.0.iter().map(|part| part.json()).collect();
        Some(format!("[{}]", parts?.join(",")))
    }
}

impl IntoSubject for Arguments<'_> {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        if let [only] = self.0
            && let Some(subject) = only.subject()
        {
            return then(Some(&subject));
        }
        let text = KeyBuffer::format(&self);
        then(Some(&Subject::Text(text.as_str())))
    }
}

impl Display for Arguments<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return only.write(formatter);
        }
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_char(':')?;
            }
            write!(EscapingWriter(formatter), "{}", Text(*part))?;
        }
        Ok(())
    }
}

/// The text of one argument.
struct Text<'a>(&'a dyn Part);

impl Display for Text<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.write(formatter)
    }
}

/// The arguments of an earlier call.
pub(super) struct KeptArguments {
    parts: Box<[Box<dyn KeptPart>]>,
    /// The JSON by which other processes compare them; `None` if a value cannot be shared.
    json: Option<String>,
    hash: u64,
}

impl KeptArguments {
    /// A hash of the arguments that their text does not identify: equal arguments have equal ones.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn json(&self) -> Option<&str> {
        self.json.as_deref()
    }

    /// Whether the arguments of a call are equal to these.
    pub(super) fn are_equal_to(&self, call: &Arguments<'_>) -> bool {
        self.parts.len() == call.0.len()
            && call
                .0
                .iter()
                .zip(&self.parts)
                .all(|(part, kept)| part.is_equal(&**kept))
    }
}

impl PartialEq for KeptArguments {
    fn eq(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self
                .parts
                .iter()
                .zip(&other.parts)
                .all(|(one, other)| one.is_equal_to(&**other))
    }
}

impl Debug for Arguments<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Arguments").finish_non_exhaustive()
    }
}

impl Debug for KeptArguments {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeptArguments")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::part::TextPart;
    use super::*;

    fn text(parts: &[&str]) -> String {
        let parts: Vec<TextPart<'_>> = parts
            .iter()
            .map(|part| TextPart::Subject(Subject::Text(part)))
            .collect();
        let parts: Vec<&dyn Part> = parts.iter().map(|part| part as &dyn Part).collect();
        Arguments(&parts).to_string()
    }

    #[test]
    fn different_arguments_make_different_texts() {
        assert_eq!(text(&[]), "");
        assert_eq!(text(&["a:b"]), "a:b");
        assert_eq!(text(&["a", "b"]), "a:b");
        assert_eq!(text(&["a:", "b"]), "a\\::b");
        assert_eq!(text(&["a\\", "b"]), "a\\\\:b");
        let all = [
            text(&["a:b", "c"]),
            text(&["a", "b:c"]),
            text(&["a", "b", "c"]),
            text(&["a\\", "b:c"]),
            text(&["a\\:b", "c"]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{one}");
        }
    }

    /// Hidden from the text.
    #[derive(Clone, Eq, Hash, PartialEq)]
    struct Secret(u32);

    impl Display for Secret {
        fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("secret")
        }
    }

    #[test]
    fn arguments_with_one_text_are_compared() {
        macro_rules! kept {
            ($value:expr) => {
                Arguments(&[&KeyArgument::part(
                    (&&&Argument(&$value)).premier_argument(),
                    (&&Argument(&$value)).premier_text(),
                    (&&&Argument(&$value)).premier_json(),
                )])
                .keep(false)
            };
        }
        let (one, two) = (Secret(1), Secret(2));
        let kept = kept!(one).unwrap();
        assert!(*kept == *kept!(&one).unwrap());
        assert!(*kept != *kept!(two).unwrap());
        assert!(*kept != *kept!([1_u8]).unwrap());
        assert!(kept!(7_u64).is_none());
        assert!(kept!("text").is_none());
        assert!(kept!(String::new()).is_none());
        assert!(kept!(Some(1)).is_some());
    }
}
