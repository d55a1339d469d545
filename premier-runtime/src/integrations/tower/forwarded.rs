//! Client addresses from `X-Forwarded-For` and `Forwarded`.
//!
//! Every proxy appends the address of its client. With n trusted proxies, the outermost one wrote
//! the nth entry from the right. The client may have sent all entries to the left of it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the address at position `trusted` from the right over all `X-Forwarded-For` lines.
pub(super) fn x_forwarded_for(headers: &HeaderMap, trusted: usize) -> Option<IpAddr> {
    // The header has no quoting.
    let entry = nth_from_right(headers, &X_FORWARDED_FOR, trusted, |line| {
        line.split(|byte| *byte == b',').collect()
    })?;
    address(entry)
}

/// Returns the `for` address at position `trusted` from the right over all `Forwarded` lines
/// (RFC 7239).
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

/// Returns the entry at position `trusted` from the right, where `entries` splits one line.
///
/// Works on bytes, so that entries to the left that are not UTF-8 cannot hide it.
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
            Some(index) => return Some(entries[index]),
            None => left -= entries.len(),
        }
    }
    None
}

/// Splits at separators outside of quotes. If a quote is not closed, splits at every separator:
/// otherwise a client could hide the entries that proxies append behind an open quote.
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

/// Parses an address with or without a port, with or without brackets.
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

    /// Contains the examples of RFC 7239, sections 4 and 6.
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
            // An open quote of the client does not hide the entry of the proxy.
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
