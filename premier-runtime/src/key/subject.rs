//! The caller's part of a key as text, by the shortest way there is for its type.
//!
//! The expansion calls a method on `&&key(&value)`. The compiler takes the first trait below whose
//! bounds the type meets: texts are used as they are, numbers are written by hand, and everything
//! else goes through its `Display`. All give the same text.

use std::borrow::Cow;
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use castaway::cast;

use crate::key::buffer::KeyBuffer;

/// The caller's part of a key: a text, or a number that is not written out before somebody has to
/// read it.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// In decimal.
    Number(u64),
    /// As it is.
    Text(&'a str),
}

impl Subject<'_> {
    /// How a key is known in memory: a text that is a number in its shortest notation is that number,
    /// for keys are equal when their texts are.
    #[inline]
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Text(text) => shortest_number(text).map_or(self, Self::Number),
            Self::Number(_) => self,
        }
    }

    /// Calls `then` with the text.
    #[inline]
    pub(crate) fn with_text<R>(self, then: impl FnOnce(&str) -> R) -> R {
        let mut left = match self {
            Self::Text(text) => return then(text),
            Self::Number(number) => number,
        };
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            // The remainder is one digit.
            digits[first] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        then(str::from_utf8(&digits[first..]).unwrap_or_default())
    }
}

#[inline]
fn shortest_number(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0'] => Some(0),
        // Not the sign that `parse` would take.
        [b'1'..=b'9', ..] => text.parse().ok(),
        _ => None,
    }
}

/// Once [canonical](Self::canonical): equal keys have equal hashes.
impl Hash for Subject<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Number(number) => state.write_u64(*number),
            Self::Text(text) => state.write(text.as_bytes()),
        }
    }
}

/// Calls `then` with the caller's part of a key, by the fast path for its type: texts are used as they
/// are, numbers stay numbers, and everything else is written by its `Display`.
#[inline]
pub(crate) fn with_subject_of<K: Display + ?Sized, R>(
    key: &K,
    then: impl FnOnce(Subject<'_>) -> R,
) -> R {
    macro_rules! number {
        ($($number:ty)*) => {$(
            if let Ok(number) = cast!(key, &$number) {
                return match u64::try_from(*number) {
                    Ok(number) => then(Subject::Number(number)),
                    Err(_) => then(Subject::Text(KeyBuffer::format(number).as_str())),
                };
            }
        )*};
    }
    if let Ok(text) = cast!(key, &str) {
        return then(Subject::Text(text));
    }
    if let Ok(text) = cast!(key, &String) {
        return then(Subject::Text(text));
    }
    number!(u64 u32 usize u16 u8 i64 i32 isize i16 i8);
    then(Subject::Text(KeyBuffer::format(key).as_str()))
}

/// Calls `then` with the text of a key, or with nothing for a limit without one.
#[inline]
pub(crate) fn with_text<R>(key: Option<Subject<'_>>, then: impl FnOnce(Option<&str>) -> R) -> R {
    match key {
        Some(key) => key.with_text(|text| then(Some(text))),
        None => then(None),
    }
}

/// Something that is, or becomes, the caller's part of a key.
pub trait KeyText: Sized {
    /// Whether there is a key.
    const IS_KEYED: bool = true;

    /// Calls `then` with it, or with nothing for a limit without a key.
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R;

    /// Calls `then` with the text, or with nothing for a limit without a key.
    #[inline]
    fn with_text<R>(self, then: impl FnOnce(Option<&str>) -> R) -> R {
        self.with_subject(|key| with_text(key, then))
    }
}

/// Of a limit without a key.
#[derive(Clone, Copy, Debug)]
pub struct NoKey;

impl KeyText for NoKey {
    const IS_KEYED: bool = false;

    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R {
        then(None)
    }
}

/// A text as it is.
impl KeyText for &str {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R {
        then(Some(Subject::Text(self)))
    }
}

/// A number in decimal.
impl KeyText for u64 {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R {
        then(Some(Subject::Number(self)))
    }
}

/// A number with a sign in decimal.
impl KeyText for i64 {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R {
        match u64::try_from(self) {
            Ok(number) => then(Some(Subject::Number(number))),
            Err(_) => then(Some(Subject::Text(KeyBuffer::format(&self).as_str()))),
        }
    }
}

/// Whatever the value writes.
#[derive(Debug)]
pub struct FormattedKey<'a, K: ?Sized> {
    value: &'a K,
    format: fn(&K) -> KeyBuffer,
}

impl<K: ?Sized> KeyText for FormattedKey<'_, K> {
    fn with_subject<R>(self, then: impl FnOnce(Option<Subject<'_>>) -> R) -> R {
        then(Some(Subject::Text((self.format)(self.value).as_str())))
    }
}

/// A value that is a caller's part of a key.
#[derive(Debug)]
pub struct KeyOf<'a, K: ?Sized> {
    value: &'a K,
    format: fn(&K) -> KeyBuffer,
}

impl<'a, K: ?Sized> KeyOf<'a, K> {
    #[cfg(feature = "cache")]
    pub(crate) const fn new(value: &'a K, format: fn(&K) -> KeyBuffer) -> Self {
        Self { value, format }
    }
}

/// The caller's part of the key.
pub fn key<K: Display + ?Sized>(value: &K) -> KeyOf<'_, K> {
    KeyOf {
        value,
        format: KeyBuffer::format,
    }
}

/// Types with a shorter way.
pub trait KeyFast<'a> {
    /// What the key is used as.
    type Key;
    /// The key.
    fn premier_key(&self) -> Self::Key;
}

macro_rules! key_fast {
    ($($type:ty: |$value:ident| -> $key:ty { $text:expr })*) => {$(
        impl<'a> KeyFast<'a> for &KeyOf<'a, $type> {
            type Key = $key;

            #[inline]
            fn premier_key(&self) -> $key {
                let $value = self.value;
                $text
            }
        }

        impl<'a> KeyFast<'a> for &KeyOf<'a, &$type> {
            type Key = $key;

            #[inline]
            fn premier_key(&self) -> $key {
                let $value = *self.value;
                $text
            }
        }
    )*};
}

key_fast! {
    str: |value| -> &'a str { value }
    String: |value| -> &'a str { value.as_str() }
    Arc<str>: |value| -> &'a str { value }
    Box<str>: |value| -> &'a str { value }
    Rc<str>: |value| -> &'a str { value }
    Cow<'_, str>: |value| -> &'a str { value }
    u8: |value| -> u64 { u64::from(*value) }
    u16: |value| -> u64 { u64::from(*value) }
    u32: |value| -> u64 { u64::from(*value) }
    u64: |value| -> u64 { *value }
    usize: |value| -> u64 { *value as u64 }
    i8: |value| -> i64 { i64::from(*value) }
    i16: |value| -> i64 { i64::from(*value) }
    // What a literal is that nothing says more of: it has to be among these, for the compiler
    // chooses the trait before the type.
    i32: |value| -> i64 { i64::from(*value) }
    i64: |value| -> i64 { *value }
    isize: |value| -> i64 { *value as i64 }
}

/// All other types.
pub trait KeyFormatted<'a> {
    /// What is written.
    type Value: ?Sized;
    /// The key.
    fn premier_key(&self) -> FormattedKey<'a, Self::Value>;
}

impl<'a, K: ?Sized> KeyFormatted<'a> for KeyOf<'a, K> {
    type Value = K;

    fn premier_key(&self) -> FormattedKey<'a, K> {
        FormattedKey {
            value: self.value,
            format: self.format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the expansion does it: a literal's type may be known only afterwards.
    fn text(key: impl KeyText) -> Option<String> {
        key.with_text(|text| text.map(str::to_owned))
    }

    #[test]
    fn every_way_gives_the_text_that_is_displayed() {
        macro_rules! assert_displayed {
            ($($value:expr),* $(,)?) => {$(
                let written = text((&&key(&$value)).premier_key());
                assert_eq!(written, Some($value.to_string()));
            )*};
        }
        let (owned, shared) = (String::from("owned"), Arc::<str>::from("shared"));
        assert_displayed![
            "text",
            *"text",
            owned,
            &owned,
            shared,
            &shared,
            Cow::Borrowed("cow"),
            Box::<str>::from("box"),
            0_u64,
            9_u64,
            10_u64,
            u64::MAX,
            &7_u32,
            255_u8,
            65_535_u16,
            usize::MAX,
            -1_i64,
            i64::MIN,
            7_i32,
            -7,
            if true { 1 } else { 2 },
            i128::MIN,
            u128::MAX,
            1.5,
            'c',
            true,
            format_args!("{}-{}", 1, 2),
            &&"deep",
        ];
        assert_eq!(NoKey.with_text(|text| text.map(str::to_owned)), None);
    }

    #[test]
    fn a_number_is_its_shortest_text() {
        let largest = u64::MAX.to_string();
        for (text, number) in [
            ("0", Some(0)),
            ("42", Some(42)),
            (&largest, Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("00", None),
            ("042", None),
            ("+42", None),
            ("-1", None),
            ("1.5", None),
            ("٣", None),
        ] {
            assert_eq!(shortest_number(text), number, "{text}");
        }
    }
}
