//! The addresses that proxies write into headers.
//!
//! Every proxy appends the address of its client to `X-Forwarded-For` or `Forwarded`, so entries are
//! read from the right. The client may have sent all entries to the left of those of the proxies.
//!
//! The parsers work on bytes, so that entries to the left that are not UTF-8 cannot hide others.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the entries of all `X-Forwarded-For` lines from the right: `None` for an entry that is no
/// address.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    // The header has no quoting.
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',').map(address))
}

/// Returns the `for` addresses of all `Forwarded` lines (RFC 7239) from the right: `None` for an entry
/// without an address.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    lines.flat_map(|line| {
        let elements = outside_quotes(line.as_bytes(), b',');
        elements.into_iter().rev().map(for_address)
    })
}

/// Returns the address in a header that a proxy overwrites: of several lines, the last one counts.
pub(super) fn single(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let line: Option<&HeaderValue> = headers.get_all(name).iter().next_back();
    address(line?.as_bytes())
}

/// Returns the `for` address of one element of `Forwarded`.
fn for_address(element: &[u8]) -> Option<IpAddr> {
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
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), line);
        }
        headers
    }

    /// The entry at position `trusted` from the right.
    fn nth(mut entries: impl Iterator<Item = Option<IpAddr>>, trusted: usize) -> Option<IpAddr> {
        entries.nth(trusted.checked_sub(1)?)?
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
            let headers = headers("x-forwarded-for", lines);
            let found = nth(super::x_forwarded_for(&headers), trusted);
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
            let headers = headers("forwarded", lines);
            let found = nth(super::forwarded(&headers), trusted);
            assert_eq!(
                found,
                expected.map(|ip| ip.parse().unwrap()),
                "{lines:?} {trusted}"
            );
        }
    }
}
