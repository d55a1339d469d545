//! One argument as a part of a key.

use std::any::Any;
use std::fmt::{self, Debug, Display, Formatter};

use crate::key::subject::Subject;

/// One argument of a call, as a part of the key.
pub trait Part {
    /// The argument as the whole key, if that needs no formatting.
    fn subject(&self) -> Option<Subject<'_>> {
        None
    }

    /// Writes the text.
    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result;

    /// Whether the text identifies the argument.
    fn is_text(&self) -> bool {
        false
    }

    /// Whether an argument that was kept is equal.
    fn is_equal(&self, kept: &dyn KeptPart) -> bool;

    /// The hash of an argument that its text does not identify.
    fn hash(&self) -> u64 {
        0
    }

    /// A copy to compare others to.
    fn keep(&self) -> Box<dyn KeptPart>;

    /// The JSON by which other processes compare the argument.
    fn json(&self) -> Option<String>;
}

/// An argument of an earlier call.
pub trait KeptPart: Any + Send + Sync {
    /// Whether another kept argument is equal.
    fn is_equal_to(&self, other: &dyn KeptPart) -> bool;
}

/// An argument that its text identifies: text, an integer, a `bool` or a `char`.
pub enum TextPart<'a> {
    /// No formatting is needed.
    Subject(Subject<'a>),
    /// `Display` writes the text.
    Display(&'a dyn Display),
}

impl Part for TextPart<'_> {
    #[inline]
    fn subject(&self) -> Option<Subject<'_>> {
        match self {
            Self::Subject(subject) => Some(*subject),
            Self::Display(_) => None,
        }
    }

    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.with_text(|text| formatter.write_str(text)),
            Self::Display(value) => Display::fmt(value, formatter),
        }
    }

    #[inline]
    fn is_text(&self) -> bool {
        true
    }

    fn is_equal(&self, _: &dyn KeptPart) -> bool {
        true
    }

    fn keep(&self) -> Box<dyn KeptPart> {
        Box::new(KeptText)
    }

    fn json(&self) -> Option<String> {
        Some(String::new())
    }
}

/// A [`TextPart`] of an earlier call. Calls are compared only if their texts are equal.
struct KeptText;

impl KeptPart for KeptText {
    fn is_equal_to(&self, _: &dyn KeptPart) -> bool {
        true
    }
}

impl Debug for TextPart<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextPart").finish_non_exhaustive()
    }
}
