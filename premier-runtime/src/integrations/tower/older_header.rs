//! Headers that can describe one limit only: `X-RateLimit-…`, and those of older drafts.
//!
//! If several limits apply to a request, those of nested layers or of the service itself, the headers describe
//! the limit with the fewest units left and, among equals, the one that resets last.

use std::cmp::Reverse;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Limit, remaining, and reset in seconds from now.
type Names = [HeaderName; 3];

pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

pub(super) const DRAFT_06: Names = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

pub(super) const X_RATELIMIT: Names = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Sets three headers to limit, remaining and reset, unless the present ones describe a tighter limit.
pub(super) fn add_three(headers: &mut HeaderMap, names: &Names, numbers: [u64; 3]) {
    let [_, remaining, reset] = names;
    let stated = |name| number_in(headers.get(name)?.to_str().ok()?);
    if is_tighter(numbers, stated(remaining), || stated(reset)) {
        for (name, number) in names.iter().zip(numbers) {
            headers.insert(name, HeaderValue::from(number));
        }
    }
}

/// Sets `RateLimit` as draft 07 writes it, unless the present one describes a tighter limit.
pub(super) fn add_dictionary(headers: &mut HeaderMap, numbers: [u64; 3]) {
    let stated = |member: &str| {
        let text = headers.get(RATELIMIT)?.to_str().ok()?;
        let (_, value) = text.split_once(member)?;
        number_in(value)
    };
    if is_tighter(numbers, stated("remaining="), || stated("reset=")) {
        let [limit, remaining, reset] = numbers;
        let dictionary = format!("limit={limit}, remaining={remaining}, reset={reset}");
        if let Ok(dictionary) = HeaderValue::try_from(dictionary) {
            headers.insert(RATELIMIT, dictionary);
        }
    }
}

/// Whether these three headers describe a tighter limit than the stated remaining and reset do.
fn is_tighter(
    [_, remaining, reset]: [u64; 3],
    stated_remaining: Option<u64>,
    stated_reset: impl FnOnce() -> Option<u64>,
) -> bool {
    stated_remaining.is_none_or(|stated| {
        let stated = (stated, Reverse(stated_reset().unwrap_or(0)));
        (remaining, Reverse(reset)) < stated
    })
}

/// The number at the beginning of a text.
fn number_in(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}
