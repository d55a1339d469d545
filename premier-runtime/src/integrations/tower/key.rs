//! Whom a request counts for.

use std::fmt::{self, Display, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use http::request::Parts;
use http::{Extensions, Request, Uri};

use super::forwarded;
use crate::key::buffer::KeyBuffer;

/// Makes a key of the head of a request.
type Maker = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// What of a request makes its key: those with one key share a limit.
///
/// A request that lacks what makes its key (no address, no such header) shares the key `-` with all
/// others that do: it is limited, and nobody gets a limit of their own by leaving something out.
///
/// ```
/// use premier::tower::RequestKey;
///
/// // Each API key on each route, as the router names it.
/// let key = RequestKey::header("x-api-key").and(RequestKey::path());
/// # let _ = key;
/// ```
#[derive(Clone)]
pub struct RequestKey(Vec<Part>);

#[derive(Clone)]
enum Part {
    Peer,
    Forwarded(usize),
    XForwardedFor(usize),
    Header(HeaderName),
    Path,
    #[cfg(feature = "axum")]
    MatchedRoute,
    Function(Arc<Maker>),
}

impl RequestKey {
    /// The address of the peer: axum's `ConnectInfo<SocketAddr>` (feature `axum`; serve with
    /// `into_make_service_with_connect_info`), or an extension `SocketAddr`. IPv6 counts by /64,
    /// the least that a subscriber is given.
    #[must_use]
    pub fn peer_ip() -> Self {
        Self(vec![Part::Peer])
    }

    /// The address that the outermost of so many trusted proxies was asked from, by `Forwarded`
    /// (RFC 7239): the nth entry from the right. Without such an entry the peer's.
    ///
    /// All proxies have to be counted, and no request may reach the service but through them;
    /// otherwise its sender chooses the address.
    #[must_use]
    pub fn forwarded(trusted_hops: usize) -> Self {
        Self(vec![Part::Forwarded(trusted_hops)])
    }

    /// The same by `X-Forwarded-For`. Choose the header that your proxies write: they pass the
    /// other one on as it came.
    #[must_use]
    pub fn x_forwarded_for(trusted_hops: usize) -> Self {
        Self(vec![Part::XForwardedFor(trusted_hops)])
    }

    /// A header's value, as it was sent.
    ///
    /// # Panics
    /// When the name is not one of a header in lower case.
    #[must_use]
    pub fn header(name: &'static str) -> Self {
        Self(vec![Part::Header(HeaderName::from_static(name))])
    }

    /// The path of the URI.
    #[must_use]
    pub fn path() -> Self {
        Self(vec![Part::Path])
    }

    /// The route as the router of axum names it (`/users/{id}`), so that all paths of a route share
    /// a limit.
    #[cfg(feature = "axum")]
    #[must_use]
    pub fn matched_route() -> Self {
        Self(vec![Part::MatchedRoute])
    }

    /// Whatever a function makes of the head of a request.
    #[must_use]
    pub fn from_fn(key: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(vec![Part::Function(Arc::new(key))])
    }

    /// Both: a limit for each pair.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Calls `then` with the key of a request.
    pub(super) fn with_text<R>(&self, head: &Head<'_>, then: impl FnOnce(&str) -> R) -> R {
        match &*self.0 {
            [part] => part.with_text(head, then),
            _ => then(KeyBuffer::format(&CompositeText { key: self, head }).as_str()),
        }
    }

    /// Whether it is made by a function, which is given all of the head.
    pub(super) fn needs_parts(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Function(_)))
    }
}

/// What of a request is looked at: its parts, if somebody needs them, are moved out and back.
pub(super) struct Head<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    parts: Option<&'a Parts>,
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
            parts: Some(parts),
        }
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            parts: None,
        }
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|part| match part {
            Part::Peer => "peer_ip".to_owned(),
            Part::Forwarded(hops) => format!("forwarded({hops})"),
            Part::XForwardedFor(hops) => format!("x_forwarded_for({hops})"),
            Part::Header(name) => format!("header({name})"),
            Part::Path => "path".to_owned(),
            #[cfg(feature = "axum")]
            Part::MatchedRoute => "matched_route".to_owned(),
            Part::Function(_) => "from_fn".to_owned(),
        });
        formatter.debug_list().entries(names).finish()
    }
}

/// The text of a key of several parts.
struct CompositeText<'a> {
    key: &'a RequestKey,
    head: &'a Head<'a>,
}

impl Display for CompositeText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, part) in self.key.0.iter().enumerate() {
            if nth > 0 {
                formatter.write_char(':')?;
            }
            // Escaped, so that no two lists of parts are one text.
            part.with_text(self.head, |text| Escaping(formatter).write_str(text))?;
        }
        Ok(())
    }
}

impl Part {
    fn with_text<R>(&self, head: &Head<'_>, then: impl FnOnce(&str) -> R) -> R {
        let Head {
            uri,
            headers,
            extensions,
            parts,
        } = head;
        match self {
            Self::Peer => with_address(peer(extensions), then),
            Self::Forwarded(hops) => {
                let forwarded = forwarded::forwarded(headers, *hops);
                with_address(forwarded.or_else(|| peer(extensions)), then)
            }
            Self::XForwardedFor(hops) => {
                let forwarded = forwarded::x_forwarded_for(headers, *hops);
                with_address(forwarded.or_else(|| peer(extensions)), then)
            }
            Self::Header(name) => match headers.get(name) {
                Some(value) => match value.to_str() {
                    Ok(value) => then(value),
                    Err(_) => then(&String::from_utf8_lossy(value.as_bytes())),
                },
                None => then("-"),
            },
            Self::Path => then(uri.path()),
            #[cfg(feature = "axum")]
            Self::MatchedRoute => match extensions.get::<axum::extract::MatchedPath>() {
                Some(route) => then(route.as_str()),
                None => then("-"),
            },
            Self::Function(key) => {
                then(parts.and_then(|parts| key(parts)).as_deref().unwrap_or("-"))
            }
        }
    }
}

/// Who is at the other end of the connection.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;

        if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(peer.ip());
        }
    }
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

fn with_address<R>(address: Option<IpAddr>, then: impl FnOnce(&str) -> R) -> R {
    match address {
        Some(address) => with_subscriber(address, then),
        None => then("-"),
    }
}

/// Every octet in decimal with a dot behind it, and the length of both. `Display` takes four times
/// as long as a look into this table, 15 ns of a request.
const OCTETS: [([u8; 4], usize); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
        let digits = [hundreds as u8, tens as u8, ones as u8];
        let mut first = match octet {
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        while first < 3 {
            let place = octets[octet].1;
            octets[octet].0[place] = b'0' + digits[first];
            octets[octet].1 += 1;
            first += 1;
        }
        octets[octet].1 += 1;
        octet += 1;
    }
    octets
};

/// An IPv4 address, or the /64 of an IPv6 one.
pub(crate) fn with_subscriber<R>(address: IpAddr, then: impl FnOnce(&str) -> R) -> R {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mut text = [0; 16];
            let mut end = 0;
            for octet in address.octets() {
                let (digits, len) = OCTETS[usize::from(octet)];
                text[end..end + 4].copy_from_slice(&digits);
                end += len;
            }
            then(str::from_utf8(&text[..end - 1]).unwrap_or("-"))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            let prefix = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            then(KeyBuffer::format(&format_args!("{prefix}/64")).as_str())
        }
    }
}

struct Escaping<'a, W>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive([':', '\\']) {
            match piece.strip_suffix([':', '\\']) {
                Some(plain) => {
                    let special = &piece[plain.len()..];
                    write!(self.0, "{plain}\\{special}")?;
                }
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&'static str, &str)], peer: Option<&str>) -> Parts {
        let mut request = Request::new(());
        *request.uri_mut() = "/users/7?x=1".parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        if let Some(peer) = peer {
            request
                .extensions_mut()
                .insert(peer.parse::<SocketAddr>().unwrap());
        }
        request.into_parts().0
    }

    fn text(key: &RequestKey, parts: &Parts) -> String {
        key.with_text(&Head::from(parts), str::to_owned)
    }

    #[track_caller]
    fn assert_key(key: &RequestKey, parts: &Parts, expected: &str) {
        assert_eq!(text(key, parts), expected, "{key:?}");
    }

    #[test]
    fn every_extractor_writes_its_part() {
        let request = parts(
            &[("x-api-key", "k"), ("x-forwarded-for", "6.6.6.6, 9.9.9.9")],
            Some("10.0.0.255:80"),
        );
        assert_key(&RequestKey::peer_ip(), &request, "10.0.0.255");
        assert_key(&RequestKey::x_forwarded_for(1), &request, "9.9.9.9");
        assert_key(&RequestKey::x_forwarded_for(3), &request, "10.0.0.255");
        assert_key(&RequestKey::forwarded(1), &request, "10.0.0.255");
        assert_key(&RequestKey::header("x-api-key"), &request, "k");
        assert_key(&RequestKey::header("x-other"), &request, "-");
        assert_key(&RequestKey::path(), &request, "/users/7");
        let by = RequestKey::from_fn(|parts| parts.uri.query().map(str::to_owned));
        assert_key(&by, &request, "x=1");
        let both = RequestKey::header("x-api-key").and(RequestKey::path());
        assert_key(&both, &request, "k:/users/7");
    }

    #[test]
    fn an_ipv6_subscriber_has_one_key() {
        for peer in ["[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff::9]:81"] {
            let request = parts(&[], Some(peer));
            assert_key(&RequestKey::peer_ip(), &request, "2001:db8:1:2::/64");
        }
        let mapped = parts(&[], Some("[::ffff:1.2.30.104]:80"));
        assert_key(&RequestKey::peer_ip(), &mapped, "1.2.30.104");
        for address in ["0.0.0.0", "9.10.99.100", "101.200.255.1", "255.255.255.255"] {
            let request = parts(&[], Some(&format!("{address}:80")));
            assert_key(&RequestKey::peer_ip(), &request, address);
        }
        assert_key(&RequestKey::peer_ip(), &parts(&[], None), "-");
    }

    #[test]
    fn no_two_lists_of_parts_are_one_text() {
        let key = RequestKey::header("a").and(RequestKey::header("b"));
        let one = text(&key, &parts(&[("a", "x:y"), ("b", "z")], None));
        let other = text(&key, &parts(&[("a", "x"), ("b", "y:z")], None));
        assert_eq!((&*one, &*other), ("x\\:y:z", "x:y\\:z"));
    }
}
