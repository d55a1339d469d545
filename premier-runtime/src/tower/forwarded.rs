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
    let entries = |line| str::split(line, ',').collect();
    address(nth_from_right(headers, &X_FORWARDED_FOR, trusted, entries)?.trim())
}

/// The same of `Forwarded` (RFC 7239).
pub(super) fn forwarded(headers: &HeaderMap, trusted: usize) -> Option<IpAddr> {
    let elements = |line| outside_quotes(line, ',');
    let element = nth_from_right(headers, &FORWARDED, trusted, elements)?;
    let value = outside_quotes(element, ';').into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim())
    })?;
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    address(value)
}

fn nth_from_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    trusted: usize,
    entries: impl Fn(&'a str) -> Vec<&'a str>,
) -> Option<&'a str> {
    let mut left = trusted.checked_sub(1)?;
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    for line in lines.into_iter().rev() {
        // What cannot be read hides what is left of it.
        let line = line.to_str().ok()?;
        let entries = entries(line);
        match entries.len().checked_sub(left + 1) {
            Some(place) => return Some(entries[place]),
            None => left -= entries.len(),
        }
    }
    None
}

/// The parts between separators that stand outside of quotes. A quote that nobody closes is none:
/// it would hide what a proxy has appended.
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|c| {
            if escaped {
                escaped = false;
            } else if quoted && c == '\\' {
                escaped = true;
            } else if c == '"' {
                quoted = !quoted;
            }
            c == separator && !quoted
        })
        .collect();
    match quoted {
        true => text.split(separator).collect(),
        false => parts,
    }
}

/// With a port or without, in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
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
    use http::{HeaderMap, HeaderName};

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(name), line.parse().unwrap());
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
