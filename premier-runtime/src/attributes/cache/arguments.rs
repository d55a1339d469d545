//! The default key of a cached function: the identity of all of its arguments.
//!
//! Values are found by a text, as those of a `key` are. The text of strings and integers tells them from all
//! others. Any other argument may look like a different one, so a value is kept with the arguments that it
//! was computed from, and returned only for arguments that are equal to them. Of several calls that differ
//! but have one text, the last has its value kept.
//!
//! Arguments are compared when no lock is held, for `Eq` is the user's code.

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::fmt::{self, Debug, Display, Formatter, Write};
use std::hash::Hash;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use ahash::RandomState;

use crate::key::buffer::KeyBuffer;
use crate::key::hasher::secret_hasher;
use crate::key::subject::{IntoSubject, Subject};

/// An argument of one call. The expansion calls methods on references to references to it, of which method
/// lookup chooses the first trait that the type of the argument implements.
#[derive(Debug)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

type WriteText<T> = fn(&T, &mut Formatter<'_>) -> fmt::Result;
type Json<T> = fn(&T) -> Option<String>;

/// An argument with what writes it as text, if its type has that.
#[derive(Debug)]
pub struct ArgumentText<'a, T: ?Sized>(&'a T, Option<WriteText<T>>);

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

/// What other processes compare an argument by, if it has serde.
pub trait JsonBySerde<T: ?Sized> {
    /// Makes JSON of the argument.
    fn premier_json(&self) -> Option<Json<T>>;
}

#[cfg(feature = "redis")]
impl<T: serde::Serialize + ?Sized> JsonBySerde<T> for &Argument<'_, T> {
    fn premier_json(&self) -> Option<Json<T>> {
        Some(|argument| serde_json::to_string(argument).ok())
    }
}

/// Calls with any other argument are not shared with other processes.
pub trait NoJson<T: ?Sized> {
    /// Returns `None`.
    fn premier_json(&self) -> Option<Json<T>> {
        None
    }
}

impl<T: ?Sized> NoJson<T> for Argument<'_, T> {}

/// One argument of a call, as a part of the key.
pub trait Part {
    /// The argument as a key of its own, if that takes no formatting.
    fn subject(&self) -> Option<Subject<'_>> {
        None
    }

    /// Writes the text.
    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result;

    /// Whether the text tells the argument from all others.
    fn is_text(&self) -> bool {
        false
    }

    /// Whether an argument that was kept is equal.
    fn is_equal(&self, kept: &dyn KeptPart) -> bool;

    /// A copy to compare others to.
    fn keep(&self) -> Box<dyn KeptPart>;

    /// What other processes compare the argument by.
    fn json(&self) -> Option<String>;
}

/// An argument of an earlier call.
pub trait KeptPart: Any + Send + Sync {
    /// Whether another kept argument is equal.
    fn is_equal_to(&self, other: &dyn KeptPart) -> bool;
}

/// A value that a cache can keep and compare.
trait Identity: Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync> {}

impl<T: ?Sized + Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync>> Identity for T {}

/// A copy of an argument.
struct Kept<T: ToOwned + ?Sized>(T::Owned);

impl<T: Identity + ?Sized> KeptPart for Kept<T> {
    fn is_equal_to(&self, other: &dyn KeptPart) -> bool {
        is_equal::<T>(self.0.borrow(), other)
    }
}

fn is_equal<T: Identity + ?Sized>(argument: &T, kept: &dyn KeptPart) -> bool {
    let kept: &dyn Any = kept;
    kept.downcast_ref::<Kept<T>>()
        .is_some_and(|kept| kept.0.borrow() == argument)
}

/// An argument that its text tells from all others: text, an integer, a `bool` or a `char`.
pub enum TextPart<'a> {
    /// No formatting is needed.
    Subject(Subject<'a>),
    /// The text is that of `Display`.
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

/// Any other argument: `T` is its type, and `U` the type that it refers to, or `T` itself.
// With functions instead of bounds, so that the compiler reports an argument that lacks one once.
pub struct IdentityPart<'a, T: ?Sized, U: ?Sized> {
    argument: &'a T,
    value: &'a U,
    text: Option<WriteText<T>>,
    json: Option<Json<T>>,
    hash: fn(&U) -> u64,
    is_equal: fn(&U, &dyn KeptPart) -> bool,
    keep: fn(&U) -> Box<dyn KeptPart>,
}

impl<T: ?Sized, U: ?Sized> Part for IdentityPart<'_, T, U> {
    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let Some(write) = self.text {
            return write(self.argument, formatter);
        }
        match self.json() {
            Some(json) => formatter.write_str(&json),
            None => write!(formatter, "#{:016x}", (self.hash)(self.value)),
        }
    }

    fn is_equal(&self, kept: &dyn KeptPart) -> bool {
        (self.is_equal)(self.value, kept)
    }

    fn keep(&self) -> Box<dyn KeptPart> {
        (self.keep)(self.value)
    }

    fn json(&self) -> Option<String> {
        self.json.and_then(|json| json(self.argument))
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(secret_hasher);
    HASHER.hash_one(value)
}

/// An argument that can be part of the default key of a cache: text, an integer, a `bool` or a `char`, and a
/// reference to whatever is `Hash + Eq + Clone + Send + Sync + 'static`, or can be made such a value by
/// [`ToOwned`]. An argument by value counts by the reference to it.
#[diagnostic::on_unimplemented(
    message = "this argument cannot be part of a cache's key: `{Self}`",
    label = "is not `Hash + Eq + Clone + Send + Sync + 'static`",
    note = "without `key = …` the key of #[cache] is the value of all arguments: give `key = …` over those that matter"
)]
pub trait KeyArgument<'a, T: ?Sized> {
    /// For expansions.
    #[doc(hidden)]
    type Part: Part;

    /// For expansions.
    #[doc(hidden)]
    fn part(self, text: ArgumentText<'a, T>, json: Option<Json<T>>) -> Self::Part;
}

#[diagnostic::do_not_recommend]
impl<'a, T: ?Sized> KeyArgument<'a, T> for TextPart<'a> {
    type Part = Self;

    #[inline]
    fn part(self, _: ArgumentText<'a, T>, _: Option<Json<T>>) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<'a, T: ?Sized + 'a, U: ?Sized + Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync>>
    KeyArgument<'a, T> for &'a U
{
    type Part = IdentityPart<'a, T, U>;

    fn part(
        self,
        ArgumentText(argument, text): ArgumentText<'a, T>,
        json: Option<Json<T>>,
    ) -> IdentityPart<'a, T, U> {
        IdentityPart {
            argument,
            value: self,
            text,
            json,
            hash,
            is_equal,
            keep: |value| Box::new(Kept::<U>(value.to_owned())),
        }
    }
}

/// Makes a part of an argument that its text tells from all others.
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

/// All arguments of a call.
///
/// Its text is that of each, joined by `:`. If there are several, `\` escapes every `:` and `\` within one,
/// so that different texts of arguments make different texts of calls.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(pub &'a [&'a dyn Part]);

impl Arguments<'_> {
    /// The arguments of a call with a key of its own.
    pub(super) const NONE: Self = Self(&[]);

    /// Whether the text of the call tells it from all others.
    #[inline]
    pub(super) fn are_text(&self) -> bool {
        self.0.iter().all(|part| part.is_text())
    }

    /// Copies of the arguments; `None` if the text is enough.
    pub(super) fn keep(&self, is_shared: bool) -> Option<Arc<KeptArguments>> {
        if self.are_text() {
            return None;
        }
        Some(Arc::new(KeptArguments {
            parts: self.0.iter().map(|part| part.keep()).collect(),
            json: is_shared.then(|| self.json()).flatten(),
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
            write!(Escape(formatter), "{}", Text(*part))?;
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

/// Writes `:` and `\` with a `\` before them.
struct Escape<'a, 'b>(&'a mut Formatter<'b>);

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

/// The arguments of an earlier call.
pub(super) struct KeptArguments {
    parts: Box<[Box<dyn KeptPart>]>,
    /// What other processes compare them by; `None` if a value cannot be shared.
    json: Option<String>,
}

impl KeptArguments {
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

macro_rules! debug {
    ($([$($generics:tt)*] $type:ty: $name:literal;)*) => {$(
        impl<$($generics)*> Debug for $type {
            fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.debug_struct($name).finish_non_exhaustive()
            }
        }
    )*};
}

debug! {
    [] TextPart<'_>: "TextPart";
    [T: ?Sized, U: ?Sized] IdentityPart<'_, T, U>: "IdentityPart";
    [] Arguments<'_>: "Arguments";
    [] KeptArguments: "KeptArguments";
}

#[cfg(test)]
mod tests {
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
                    (&&Argument(&$value)).premier_json(),
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
