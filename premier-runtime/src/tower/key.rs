//! Whom a request counts for.

use std::fmt::{self, Display, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;

use super::forwarded;

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
    By(Arc<Maker>),
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
    pub fn by(key: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(vec![Part::By(Arc::new(key))])
    }

    /// Both: a limit for each pair.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The key of a request, to be written where it is needed.
    pub(super) fn of<'a>(&'a self, parts: &'a Parts) -> Written<'a> {
        Written { key: self, parts }
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
            Part::By(_) => "by".to_owned(),
        });
        formatter.debug_list().entries(names).finish()
    }
}

/// The text of a request's key.
pub(super) struct Written<'a> {
    key: &'a RequestKey,
    parts: &'a Parts,
}

impl Display for Written<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [part] = &*self.key.0 {
            return part.write(self.parts, formatter);
        }
        for (nth, part) in self.key.0.iter().enumerate() {
            if nth > 0 {
                formatter.write_char(':')?;
            }
            // Escaped, so that no two lists of parts are one text.
            part.write(self.parts, &mut Escaping(formatter))?;
        }
        Ok(())
    }
}

impl Part {
    fn write(&self, parts: &Parts, to: &mut impl Write) -> fmt::Result {
        match self {
            Self::Peer => write_address(peer(parts), to),
            Self::Forwarded(hops) => {
                let forwarded = forwarded::forwarded(&parts.headers, *hops);
                write_address(forwarded.or_else(|| peer(parts)), to)
            }
            Self::XForwardedFor(hops) => {
                let forwarded = forwarded::x_forwarded_for(&parts.headers, *hops);
                write_address(forwarded.or_else(|| peer(parts)), to)
            }
            Self::Header(name) => match parts.headers.get(name) {
                Some(value) => match value.to_str() {
                    Ok(value) => to.write_str(value),
                    Err(_) => to.write_str(&String::from_utf8_lossy(value.as_bytes())),
                },
                None => to.write_char('-'),
            },
            Self::Path => to.write_str(parts.uri.path()),
            #[cfg(feature = "axum")]
            Self::MatchedRoute => match parts.extensions.get::<axum::extract::MatchedPath>() {
                Some(route) => to.write_str(route.as_str()),
                None => to.write_char('-'),
            },
            Self::By(key) => to.write_str(key(parts).as_deref().unwrap_or("-")),
        }
    }
}

/// Who is at the other end of the connection.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;

        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(peer.ip());
        }
    }
    parts.extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

fn write_address(address: Option<IpAddr>, to: &mut impl Write) -> fmt::Result {
    match address {
        Some(address) => write_subscriber(address, to),
        None => to.write_char('-'),
    }
}

/// An IPv4 address, or the /64 of an IPv6 one.
pub(crate) fn write_subscriber(address: IpAddr, to: &mut impl Write) -> fmt::Result {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            for (nth, part) in [a, b, c, d].into_iter().enumerate() {
                if nth > 0 {
                    to.write_char('.')?;
                }
                write_byte(part, to)?;
            }
            Ok(())
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            write!(to, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// As `Display` does, in a third of its time.
fn write_byte(byte: u8, to: &mut impl Write) -> fmt::Result {
    let digits = [b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10];
    let first = match byte {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    to.write_str(str::from_utf8(&digits[first..]).unwrap_or_default())
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
    use http::Request;

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

    #[track_caller]
    fn assert_key(key: &RequestKey, parts: &Parts, expected: &str) {
        assert_eq!(key.of(parts).to_string(), expected, "{key:?}");
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
        let by = RequestKey::by(|parts| parts.uri.query().map(str::to_owned));
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
        assert_key(&RequestKey::peer_ip(), &parts(&[], None), "-");
    }

    #[test]
    fn no_two_lists_of_parts_are_one_text() {
        let key = RequestKey::header("a").and(RequestKey::header("b"));
        let one = key
            .of(&parts(&[("a", "x:y"), ("b", "z")], None))
            .to_string();
        let other = key
            .of(&parts(&[("a", "x"), ("b", "y:z")], None))
            .to_string();
        assert_eq!((&*one, &*other), ("x\\:y:z", "x:y\\:z"));
    }
}
