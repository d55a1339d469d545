//! What the type of an argument can do, by method lookup.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::rc::Rc;
use std::sync::Arc;

use super::part::TextPart;
use crate::key::subject::Subject;

/// Writes an argument as text.
pub(super) type WriteText<T> = fn(&T, &mut Formatter<'_>) -> fmt::Result;

/// Writes an argument for other processes.
pub(super) type Json<T> = fn(&T) -> Option<String>;

/// An argument of one call. The expansion calls methods on references to references to it, of which method
/// lookup chooses the first trait that the type of the argument implements.
#[derive(Debug)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

/// An argument, and the function that writes it as text, if its type has one.
#[derive(Debug)]
pub struct ArgumentText<'a, T: ?Sized>(pub(super) &'a T, pub(super) Option<WriteText<T>>);

/// The text of an argument that implements `Display`.
pub trait TextByDisplay<'a, T: ?Sized> {
    /// Writes the argument.
    fn premier_text(&self) -> ArgumentText<'a, T>;
}

impl<'a, T: Display + ?Sized> TextByDisplay<'a, T> for &Argument<'a, T> {
    fn premier_text(&self) -> ArgumentText<'a, T> {
        ArgumentText(self.0, Some(T::fmt))
    }
}

/// Any other argument has no text.
pub trait NoText<'a, T: ?Sized> {
    /// Returns the argument.
    fn premier_text(&self) -> ArgumentText<'a, T>;
}

impl<'a, T: ?Sized> NoText<'a, T> for Argument<'a, T> {
    fn premier_text(&self) -> ArgumentText<'a, T> {
        ArgumentText(self.0, None)
    }
}

/// The JSON by which other processes compare an argument that is a reference, if its type has serde.
pub trait JsonOfReference<T: ?Sized> {
    /// Makes JSON of the argument.
    fn premier_json(&self) -> Option<Json<T>>;
}

#[cfg(feature = "redis")]
impl<'a, U> JsonOfReference<&'a U> for &&Argument<'_, &'a U>
where
    U: ?Sized + PartialEq + serde::Serialize + ToOwned<Owned: serde::de::DeserializeOwned>,
{
    fn premier_json(&self) -> Option<Json<&'a U>> {
        Some(|argument| json_of::<U>(argument))
    }
}

/// The JSON by which other processes compare an argument, if its type has serde.
pub trait JsonBySerde<T: ?Sized> {
    /// Makes JSON of the argument.
    fn premier_json(&self) -> Option<Json<T>>;
}

#[cfg(feature = "redis")]
impl<T> JsonBySerde<T> for &Argument<'_, T>
where
    T: ?Sized + PartialEq + serde::Serialize + ToOwned<Owned: serde::de::DeserializeOwned>,
{
    fn premier_json(&self) -> Option<Json<T>> {
        Some(json_of::<T>)
    }
}

/// Makes JSON of an argument, if the argument reads back from it: what serde leaves out could make different
/// arguments look alike.
#[cfg(feature = "redis")]
fn json_of<T>(argument: &T) -> Option<String>
where
    T: ?Sized + PartialEq + serde::Serialize + ToOwned<Owned: serde::de::DeserializeOwned>,
{
    use std::borrow::Borrow;

    let json = serde_json::to_string(argument).ok()?;
    let back: T::Owned = serde_json::from_str(&json).ok()?;
    (back.borrow() == argument).then_some(json)
}

/// Calls with any other argument are not shared with other processes.
pub trait NoJson<T: ?Sized> {
    /// Returns `None`.
    fn premier_json(&self) -> Option<Json<T>> {
        None
    }
}

impl<T: ?Sized> NoJson<T> for Argument<'_, T> {}

/// Makes a part of an argument that its text identifies.
pub trait PartByText<'a> {
    /// The argument as a part of the key.
    fn premier_argument(&self) -> TextPart<'a>;
}

macro_rules! part_by_text {
    ($($type:ty: |$value:ident| $part:expr;)*) => {$(
        impl<'a> PartByText<'a> for &&Argument<'a, $type> {
            #[inline]
            fn premier_argument(&self) -> TextPart<'a> {
                let $value = self.0;
                $part
            }
        }

        impl<'a> PartByText<'a> for &&Argument<'a, &$type> {
            #[inline]
            fn premier_argument(&self) -> TextPart<'a> {
                let $value = *self.0;
                $part
            }
        }
    )*};
}

/// A signed number is a number if it is not negative.
fn signed<'a, N: Display + Copy>(number: &'a N) -> TextPart<'a>
where
    u64: TryFrom<N>,
{
    match u64::try_from(*number) {
        Ok(number) => TextPart::Subject(Subject::Number(number)),
        Err(_) => TextPart::Display(number),
    }
}

part_by_text! {
    String: |text| TextPart::Subject(Subject::Text(text));
    Arc<str>: |text| TextPart::Subject(Subject::Text(text));
    Box<str>: |text| TextPart::Subject(Subject::Text(text));
    Rc<str>: |text| TextPart::Subject(Subject::Text(text));
    Cow<'_, str>: |text| TextPart::Subject(Subject::Text(text));
    &str: |text| TextPart::Subject(Subject::Text(text));
    u8: |number| TextPart::Subject(Subject::Number(u64::from(*number)));
    u16: |number| TextPart::Subject(Subject::Number(u64::from(*number)));
    u32: |number| TextPart::Subject(Subject::Number(u64::from(*number)));
    u64: |number| TextPart::Subject(Subject::Number(*number));
    usize: |number| TextPart::Subject(Subject::Number(*number as u64));
    i8: |number| signed(number);
    i16: |number| signed(number);
    i32: |number| signed(number);
    i64: |number| signed(number);
    isize: |number| signed(number);
    u128: |number| TextPart::Display(number);
    i128: |number| TextPart::Display(number);
    bool: |value| TextPart::Display(value);
    char: |value| TextPart::Display(value);
}

/// Finds what an argument by reference refers to.
pub trait PartByReference<'a> {
    /// What the cache keeps and compares.
    type Value: ?Sized;

    /// Returns the argument.
    fn premier_argument(&self) -> &'a Self::Value;
}

impl<'a, U: ?Sized> PartByReference<'a> for &Argument<'a, &'a U> {
    type Value = U;

    fn premier_argument(&self) -> &'a U {
        self.0
    }
}

/// Finds an argument by value.
pub trait PartByValue<'a> {
    /// What the cache keeps and compares.
    type Value: ?Sized;

    /// Returns the argument.
    fn premier_argument(&self) -> &'a Self::Value;
}

impl<'a, T: ?Sized> PartByValue<'a> for Argument<'a, T> {
    type Value = T;

    fn premier_argument(&self) -> &'a T {
        self.0
    }
}
