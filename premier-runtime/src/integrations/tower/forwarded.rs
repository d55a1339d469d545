//! Whom a proxy says it was asked by.
//!
//! Each proxy appends the address it was asked from. With n trusted proxies the nth entry from the
//! right was written by the outermost of them; all that stands left of it, anybody can have sent.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The nth address from the right of all `X-Forwarded-For` lines.
pub(super) fn x_forwarded_for(headers: &HeaderMap, trusted: usize) -> Option<IpAddr> {
    // It knows no quotes.
    let entry = nth_from_right(headers, &X_FORWARDED_FOR, trusted, |line| {
        line.split(|byte| *byte == b',').collect()
    })?;
    address(entry)
}

/// The same of `Forwarded` (RFC 7239).
pub(super) fn forwarded(headers: &HeaderMap, trusted: usize) -> Option<IpAddr> {
    let elements = |line| outside_quotes(line, b',');
    let element = nth_from_right(headers, &FORWARDED, trusted, elements)?;
    let value = outside_quotes(element, b';').into_iter().find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at(equals);
        name.trim_ascii()
            .eq_ignore_ascii_case(b"for")
            .then(|| value[1..].trim_ascii())
    })?;
    let value = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    address(value)
}

/// As bytes, for what is left of the entry may be anything and must not hide it.
fn nth_from_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    trusted: usize,
    entries: impl Fn(&'a [u8]) -> Vec<&'a [u8]>,
) -> Option<&'a [u8]> {
    let mut left = trusted.checked_sub(1)?;
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    for line in lines.into_iter().rev() {
        let entries = entries(line.as_bytes());
        match entries.len().checked_sub(left + 1) {
            Some(place) => return Some(entries[place]),
            None => left -= entries.len(),
        }
    }
    None
}

/// The parts between separators that stand outside of quotes. A quote that nobody closes is none:
/// it would hide what a proxy has appended.
fn outside_quotes(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|byte| {
            if escaped {
                escaped = false;
            } else if quoted && *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = !quoted;
            }
            *byte == separator && !quoted
        })
        .collect();
    match quoted {
        true => text.split(|byte| *byte == separator).collect(),
        false => parts,
    }
}

/// With a port or without, in brackets or not.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), line);
        }
        headers
    }

    #[test]
    fn addresses_are_counted_from_the_right() {
        for (lines, trusted, expected) in [
            (&["1.1.1.1, 2.2.2.2"][..], 1, Some("2.2.2.2")),
            (&["1.1.1.1, 2.2.2.2"], 2, Some("1.1.1.1")),
            (&["1.1.1.1, 2.2.2.2"], 3, None),
            (&["1.1.1.1, 2.2.2.2"], 0, None),
            (&["1.1.1.1", "2.2.2.2,3.3.3.3"], 3, Some("1.1.1.1")),
            (&["spoofed", "2.2.2.2"], 1, Some("2.2.2.2")),
            (&["\"spoofed, 2.2.2.2"], 1, Some("2.2.2.2")),
            (&["spoofed ü, 2.2.2.2"], 1, Some("2.2.2.2")),
            (&["2.2.2.2, unknown"], 1, None),
            (&["2.2.2.2:4711"], 1, Some("2.2.2.2")),
            (&["[2001:db8::1]:4711"], 1, Some("2001:db8::1")),
            (&["[2001:db8::1]"], 1, Some("2001:db8::1")),
            (&["2001:db8::1"], 1, Some("2001:db8::1")),
            (&[], 1, None),
            (&[""], 1, None),
        ] {
            let found = super::x_forwarded_for(&headers("x-forwarded-for", lines), trusted);
            assert_eq!(
                found,
                expected.map(|ip| ip.parse().unwrap()),
                "{lines:?} {trusted}"
            );
        }
    }

    /// The examples of RFC 7239, sections 4 and 6, among others.
    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (lines, trusted, expected) in [
            (&[r#"for="_gazonk""#][..], 1, None),
            (
                &[r#"For="[2001:db8:cafe::17]:4711""#],
                1,
                Some("2001:db8:cafe::17"),
            ),
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"],
                1,
                Some("192.0.2.60"),
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                1,
                Some("198.51.100.17"),
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                2,
                Some("192.0.2.43"),
            ),
            (
                &["for=192.0.2.43", "for=198.51.100.17"],
                2,
                Some("192.0.2.43"),
            ),
            (
                &[r#"for="1.1.1.1, for=6.6.6.6", for=2.2.2.2"#],
                1,
                Some("2.2.2.2"),
            ),
            (&["proto=https"], 1, None),
            // What a client sends cannot swallow what a proxy appends.
            (&[r#"for="spoofed, for=2.2.2.2"#], 1, Some("2.2.2.2")),
            (&[r#"for="spoofed\, for=2.2.2.2"#], 1, Some("2.2.2.2")),
            (&["for=ü, for=2.2.2.2"], 1, Some("2.2.2.2")),
            (
                &[r#"for="spoofed, for="[2001:db8::1]:80""#],
                1,
                Some("2001:db8::1"),
            ),
        ] {
            let found = super::forwarded(&headers("forwarded", lines), trusted);
            assert_eq!(
                found,
                expected.map(|ip| ip.parse().unwrap()),
                "{lines:?} {trusted}"
            );
        }
    }
}
