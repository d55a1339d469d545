//! The caller's part of a key, converted without formatting where its type allows.
//!
//! An expansion calls `premier_key` on `&&CallKey::key(&value)`. Method resolution picks [`KeyFast`] for
//! strings and integers, which need no formatting, and [`KeyFormatted`], which uses `Display`, for
//! all other types (autoref specialization, after David Tolnay's "case study"). Both produce the
//! text that `Display` writes.

use std::borrow::Cow;
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use castaway::cast;

use crate::key::buffer::KeyBuffer;

/// The caller's part of a key. A number stays a number until its text is needed.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A number, whose text is its decimal notation.
    Number(u64),
    /// A text.
    Text(&'a str),
}

impl Subject<'_> {
    /// Converts a text that is the decimal notation of a `u64` to a number.
    ///
    /// Keys are equal when their texts are, so the memory store must find `7` and `"7"` in one place.
    #[inline]
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Text(text) => canonical_number(text).map_or(self, Self::Number),
            Self::Number(_) => self,
        }
    }

    /// Calls `then` with the text of the key.
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

/// Parses the decimal notation of a `u64` without sign or leading zeros, which is the text that
/// `Display` writes.
#[inline]
fn canonical_number(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0'] => Some(0),
        // The first dot of an IPv4 address: `parse` takes 40 instructions to find it.
        [b'1'..=b'9', second, third, fourth, ..] if [second, third, fourth].contains(&&b'.') => {
            None
        }
        // No other first byte: `parse` would accept a sign and leading zeros.
        [b'1'..=b'9', ..] => text.parse().ok(),
        _ => None,
    }
}

/// Equal keys have equal hashes only after [`Subject::canonical`].
impl Hash for Subject<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Number(number) => state.write_u64(*number),
            Self::Text(text) => state.write(text.as_bytes()),
        }
    }
}

/// Calls `then` with the key as a [`Subject`]. Strings and integers are not formatted; other types
/// are formatted with `Display`.
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

/// Calls `then` with the text of a key, or with `None` for a limit without keys.
#[inline]
pub(crate) fn with_text<R>(key: Option<&Subject<'_>>, then: impl FnOnce(Option<&str>) -> R) -> R {
    match key {
        Some(key) => key.with_text(|text| then(Some(text))),
        None => then(None),
    }
}

/// A value that can be used as the caller's part of a key.
pub trait IntoSubject: Sized {
    /// Whether the limit has keys; `false` only for [`NoKey`].
    const IS_KEYED: bool = true;

    /// Calls `then` with the key, or with `None` for a limit without keys.
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R;

    /// Calls `then` with the text of the key, or with `None` for a limit without keys.
    #[inline]
    fn with_text<R>(self, then: impl FnOnce(Option<&str>) -> R) -> R {
        self.with_subject(|key| with_text(key, then))
    }
}

/// The key of a limit without keys.
#[derive(Clone, Copy, Debug)]
pub struct NoKey;

impl IntoSubject for NoKey {
    const IS_KEYED: bool = false;

    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        then(None)
    }
}

impl IntoSubject for Subject<'_> {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        then(Some(&self))
    }
}

impl IntoSubject for &str {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        then(Some(&Subject::Text(self)))
    }
}

impl IntoSubject for u64 {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        then(Some(&Subject::Number(self)))
    }
}

impl IntoSubject for i64 {
    #[inline]
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        match u64::try_from(self) {
            Ok(number) => then(Some(&Subject::Number(number))),
            Err(_) => then(Some(&Subject::Text(KeyBuffer::format(&self).as_str()))),
        }
    }
}

/// A value that is formatted with `Display` when its text is needed.
#[derive(Debug)]
pub struct FormattedKey<'a, K: ?Sized> {
    value: &'a K,
    format: fn(&K) -> KeyBuffer,
}

impl<K: ?Sized> IntoSubject for FormattedKey<'_, K> {
    fn with_subject<R>(self, then: impl FnOnce(Option<&Subject<'_>>) -> R) -> R {
        then(Some(&Subject::Text((self.format)(self.value).as_str())))
    }
}

/// A borrowed key on which an expansion calls `premier_key`.
#[derive(Debug)]
pub struct KeyOf<'a, K: ?Sized> {
    value: &'a K,
    format: fn(&K) -> KeyBuffer,
}

/// Keys of calls: all types that implement [`Display`].
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be the key of a call",
    label = "does not implement `Display`",
    note = "the text of a key is made by `Display`: implement it for `{Self}`, or write an expression of a type that has it, such as a field or `format!(…)`"
)]
pub trait CallKey {
    /// Wraps the key for an expansion.
    fn key(&self) -> KeyOf<'_, Self>;
}

#[diagnostic::do_not_recommend]
impl<K: Display + ?Sized> CallKey for K {
    #[inline]
    fn key(&self) -> KeyOf<'_, K> {
        KeyOf {
            value: self,
            format: KeyBuffer::format,
        }
    }
}

/// Keys that need no formatting: strings and integers up to 64 bits.
pub trait KeyFast<'a> {
    /// The converted key: `&str`, `u64` or `i64`.
    type Key;
    /// Converts the key.
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
    // The type of an integer literal without a suffix. The compiler chooses the trait before it
    // falls back to i32, so i32 must implement this trait.
    i32: |value| -> i64 { i64::from(*value) }
    i64: |value| -> i64 { *value }
    isize: |value| -> i64 { *value as i64 }
}

/// Keys of all other types, which are formatted with `Display`.
pub trait KeyFormatted<'a> {
    /// The type of the value.
    type Value: ?Sized;
    /// Converts the key.
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

    /// Takes the key as an expansion passes it, so that a literal's type is inferred late.
    fn text(key: impl IntoSubject) -> Option<String> {
        key.with_text(|text| text.map(str::to_owned))
    }

    #[test]
    fn every_conversion_gives_the_text_that_display_writes() {
        macro_rules! assert_displayed {
            ($($value:expr),* $(,)?) => {$(
                let converted = text((&&CallKey::key(&$value)).premier_key());
                assert_eq!(converted, Some($value.to_string()));
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
    fn only_canonical_decimals_are_numbers() {
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
            assert_eq!(canonical_number(text), number, "{text}");
        }
    }
}
