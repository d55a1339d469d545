//! Keys of requests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Extensions;
use http::header::HeaderName;
use http::request::Parts;

use super::client_address::{ClientAddress, Source};
use super::key_text::{Head, Part, with_text};
use super::missing_key::Lack;
use super::nat64::Nat64Prefix;
use super::proxies::TrustedProxies;
use crate::error::Error;

/// Selects the part of a request that is its key. Requests with equal keys share a limit.
///
/// A request without this part (no peer address, no such header) is refused unless
/// [`ThrottleLayer::missing_key`](super::ThrottleLayer::missing_key) says otherwise.
///
/// # Keys that clients choose
/// A client that can send any key has a new limit with every value, and each value takes memory. A header is a
/// safe key only behind a layer that has authenticated it. Where it is not, limit by address first, more
/// generously, and then by key:
///
/// ```
/// use premier::Limit;
/// use premier::tower::{RequestKey, ThrottleLayer};
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// // An address tries at most 600 keys a minute.
/// let outer = ThrottleLayer::new("by address", Limit::token_bucket(600, minute))
///     .key(RequestKey::peer_ip());
/// // A limit for each pair of API key and path.
/// let inner = ThrottleLayer::new("by API key", Limit::token_bucket(100, minute))
///     .key(RequestKey::header("x-api-key").and(RequestKey::path()));
/// # let _ = (outer, inner);
/// ```
///
/// # Addresses
/// An IPv6 address counts as its /64 network ([`RequestKey::ipv6_prefix`]), because a subscriber owns at
/// least a /64. One that stands for an IPv4 address counts as that one: IPv4-mapped, IPv4-compatible, NAT64
/// (`64:ff9b::/96`, `64:ff9b:1::/48`, and [`RequestKey::nat64_prefix`]), 6to4 and Teredo.
///
/// Headers such as `X-Forwarded-For` are believed only as far as [`TrustedProxies`] says.
#[derive(Clone)]
pub struct RequestKey(Vec<Part>);

impl RequestKey {
    /// Uses the IP address of the peer.
    ///
    /// The address comes from axum's `ConnectInfo<SocketAddr>` (feature `axum`; serve the router with
    /// `into_make_service_with_connect_info`) or from a `SocketAddr` in the request's extensions.
    /// [`RequestKey::peer_from`] finds it elsewhere, as with tonic's own server.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::peer_ip();
    /// # let _ = key;
    /// ```
    #[must_use]
    pub fn peer_ip() -> Self {
        Self::address(Source::Peer)
    }

    /// Uses the client address in the `Forwarded` header (RFC 7239), behind trusted proxies: a number of
    /// them or a [`TrustedProxies`].
    ///
    /// With a number n, this is the nth entry from the right, which the outermost proxy wrote. A request
    /// without such an entry has the address of its peer.
    ///
    /// A number must count all proxies, and requests must not reach the service around them. Otherwise
    /// clients choose the address themselves.
    ///
    /// ```
    /// let behind_one_proxy = premier::tower::RequestKey::forwarded(1);
    /// # let _ = behind_one_proxy;
    /// ```
    #[must_use]
    pub fn forwarded(proxies: impl Into<TrustedProxies>) -> Self {
        Self::address(Source::Forwarded(proxies.into()))
    }

    /// Uses the client address in the `X-Forwarded-For` header, behind trusted proxies: a number of them or
    /// a [`TrustedProxies`].
    ///
    /// With a number n, this is the nth entry from the right, which the outermost proxy wrote. A request
    /// without such an entry has the address of its peer. Choose the header that your proxies write, because
    /// they forward the other one as the client sent it.
    ///
    /// A number must count all proxies, and requests must not reach the service around them. Otherwise
    /// clients choose the address themselves.
    ///
    /// ```
    /// use premier::tower::{RequestKey, TrustedProxies};
    ///
    /// let behind_two_proxies = RequestKey::x_forwarded_for(2);
    /// let behind_proxies = RequestKey::x_forwarded_for(TrustedProxies::networks(["10.0.0.0/8"])?);
    /// # let _ = (behind_two_proxies, behind_proxies);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub fn x_forwarded_for(proxies: impl Into<TrustedProxies>) -> Self {
        Self::address(Source::XForwardedFor(proxies.into()))
    }

    /// Uses the client address in a header that a trusted proxy overwrites. The name may be in upper or
    /// lower case.
    ///
    /// | header | who overwrites it |
    /// | --- | --- |
    /// | `X-Real-IP` | nginx, with `proxy_set_header X-Real-IP $remote_addr` |
    /// | `CF-Connecting-IP` | Cloudflare |
    /// | `True-Client-IP` | Cloudflare and Akamai, where it is enabled |
    /// | `Fly-Client-IP` | Fly.io |
    ///
    /// The header is believed if the peer is in the networks of [`TrustedProxies::networks`]. With a number
    /// of proxies from 1 on it is believed from every peer: all requests must then come through the proxy
    /// that overwrites it, and a client that can reach the service around it chooses its address itself.
    /// Proxies behind that one must pass the header on. A request without an address in the header has that
    /// of its peer.
    ///
    /// # Panics
    /// When `name` is not a valid name of a header.
    ///
    /// ```
    /// use premier::tower::{RequestKey, TrustedProxies};
    ///
    /// // Two of the networks of Cloudflare; the whole list is at https://www.cloudflare.com/ips.
    /// let cloudflare = TrustedProxies::networks(["173.245.48.0/20", "2400:cb00::/32"])?;
    /// let client = RequestKey::ip_header("CF-Connecting-IP", cloudflare);
    ///
    /// // Behind one nginx, around which no request comes.
    /// let client = RequestKey::ip_header("X-Real-IP", 1);
    /// # let _ = client;
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn ip_header(name: &str, proxies: impl Into<TrustedProxies>) -> Self {
        Self::address(Source::Header(header_name(name), proxies.into()))
    }

    /// Sets how the addresses in this key find the IP address of the peer, from the extensions of a request.
    /// Default: as [`RequestKey::peer_ip`] says.
    ///
    /// tonic's own server has it in `TcpConnectInfo`, or with TLS in `TlsConnectInfo<TcpConnectInfo>`; axum
    /// in `ConnectInfo<T>` for a `T` of yours. A peer on a Unix socket has no IP address: behind a proxy on
    /// the same host, let it be the loopback's.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    /// use std::net::SocketAddr;
    ///
    /// # #[derive(Clone)]
    /// # struct TcpConnectInfo(Option<SocketAddr>);
    /// # impl TcpConnectInfo {
    /// #     fn remote_addr(&self) -> Option<SocketAddr> { self.0 }
    /// # }
    /// // With tonic::transport::server::TcpConnectInfo.
    /// let peer = RequestKey::peer_ip().peer_from(|extensions| {
    ///     let address = extensions.get::<TcpConnectInfo>()?.remote_addr()?;
    ///     Some(address.ip())
    /// });
    /// # let _ = peer;
    /// ```
    #[must_use]
    pub fn peer_from(
        mut self,
        peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        let peer = Arc::new(peer);
        for address in self.addresses() {
            address.peer = Some(peer.clone());
        }
        self
    }

    /// Sets the length in bits of the IPv6 networks that count as one client, in all addresses of this key.
    /// Default: 64.
    ///
    /// Providers give a /56 or a /48 to many subscribers, who can use all of its addresses.
    ///
    /// # Panics
    /// When `bits` is not from 1 to 128.
    ///
    /// ```
    /// let by_site = premier::tower::RequestKey::peer_ip().ipv6_prefix(56);
    /// # let _ = by_site;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        assert!(
            (1..=128).contains(&bits),
            "an IPv6 network has a prefix of 1 to 128 bits, not {bits}"
        );
        for address in self.addresses() {
            address.ipv6_prefix = bits;
        }
        self
    }

    /// Adds the NAT64 prefix of a network of your own, in all addresses of this key: an IPv6 address that begins
    /// with it counts as the IPv4 address in it, as RFC 6052 places it. Default: `64:ff9b::/96` and
    /// `64:ff9b:1::/48` only.
    ///
    /// Needed where a translator stands in front of the service. Otherwise all of its IPv4 clients are in one
    /// IPv6 network, and share a limit. Clients must not have IPv6 addresses with the prefix themselves: they
    /// could choose the IPv4 address in it.
    ///
    /// # Errors
    /// [`Error::Config`] unless the text is an IPv6 network with a prefix of 32, 40, 48, 56, 64 or 96 bits.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    ///
    /// let client = RequestKey::peer_ip().nat64_prefix("2001:db8:64::/96")?;
    /// # let _ = client;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn nat64_prefix(mut self, network: &str) -> Result<Self, Error> {
        let prefix = Nat64Prefix::parse(network)?;
        for address in self.addresses() {
            address.nat64.push(prefix);
        }
        Ok(self)
    }

    /// Uses the value of a header, unchanged. If the request has several headers of this name, the
    /// first one counts. The name may be in upper or lower case.
    ///
    /// A client may send any value unless something before the layer checks it:
    /// [how to limit by keys that clients choose](Self#keys-that-clients-choose).
    ///
    /// # Panics
    /// When `name` is not a valid name of a header, as when it is empty or contains a space.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::header("X-Api-Key");
    /// # let _ = key;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn header(name: &str) -> Self {
        Self(vec![Part::Header(header_name(name))])
    }

    /// Uses the path of the URI, without the query.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::path();
    /// # let _ = key;
    /// ```
    #[must_use]
    pub fn path() -> Self {
        Self(vec![Part::Path])
    }

    /// Uses the route that axum's router matched, such as `/users/{id}`, so that all paths of a route
    /// share a limit. Requests that match no route share one limit, too.
    ///
    /// Add the layer to the router: around it, no route is known yet.
    ///
    /// ```
    /// let key = premier::tower::RequestKey::matched_route();
    /// # let _ = key;
    /// ```
    #[cfg(feature = "axum")]
    #[must_use]
    pub fn matched_route() -> Self {
        Self(vec![Part::MatchedRoute])
    }

    /// Uses the text that a function returns for the head of a request. A request for which the
    /// function returns `None` lacks its key.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    ///
    /// let by_query = RequestKey::from_fn(|parts| parts.uri.query().map(str::to_owned));
    /// # let _ = by_query;
    /// ```
    #[must_use]
    pub fn from_fn(key: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(vec![Part::Function(Arc::new(key))])
    }

    /// Combines two keys: every pair of their values has its own limit.
    ///
    /// ```
    /// use premier::tower::RequestKey;
    ///
    /// let address_and_path = RequestKey::peer_ip().and(RequestKey::path());
    /// # let _ = address_and_path;
    /// ```
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn address(source: Source) -> Self {
        Self(vec![Part::Address(source.into())])
    }

    fn addresses(&mut self) -> impl Iterator<Item = &mut ClientAddress> {
        self.0.iter_mut().filter_map(|part| match part {
            Part::Address(address) => Some(address),
            _ => None,
        })
    }

    /// Calls `then` with the key of a request, and with the first thing that the request lacks for it. What is
    /// lacking is `-` in the key.
    pub(super) fn with_text<'a, R>(
        &'a self,
        head: &'a Head<'a>,
        then: impl FnOnce(&str, Option<Lack<'a>>) -> R,
    ) -> R {
        with_text(&self.0, head, then)
    }

    /// Whether a part of the key is a function, which takes the parts of the request.
    pub(super) fn needs_parts(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Function(_)))
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.0).finish()
    }
}

#[track_caller]
fn header_name(name: &str) -> HeaderName {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("{name:?} is not a valid name of a header"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

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

    /// The key, unless the request lacks what it needs.
    fn text(key: &RequestKey, parts: &Parts) -> Option<String> {
        key.with_text(&Head::from(parts), |text, lack| {
            lack.is_none().then(|| text.to_owned())
        })
    }

    #[track_caller]
    fn assert_key(key: &RequestKey, parts: &Parts, expected: &str) {
        assert_eq!(text(key, parts).as_deref(), Some(expected), "{key:?}");
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
        assert_key(&RequestKey::header("X-Api-Key"), &request, "k");
        assert_key(
            &RequestKey::ip_header("X-Real-IP", 1),
            &request,
            "10.0.0.255",
        );
        assert_key(&RequestKey::path(), &request, "/users/7");
        let by = RequestKey::from_fn(|parts| parts.uri.query().map(str::to_owned));
        assert_key(&by, &request, "x=1");
        let both = RequestKey::header("x-api-key").and(RequestKey::path());
        assert_key(&both, &request, "k:/users/7");
    }

    #[test]
    #[should_panic(expected = "\"x api key\" is not a valid name of a header")]
    fn a_name_that_no_header_can_have_panics() {
        let _ = RequestKey::header("x api key");
    }

    #[test]
    fn an_ipv6_subscriber_has_one_key() {
        for peer in ["[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff::9]:81"] {
            let request = parts(&[], Some(peer));
            assert_key(&RequestKey::peer_ip(), &request, "2001:db8:1:2::/64");
            let site = RequestKey::path()
                .and(RequestKey::peer_ip())
                .ipv6_prefix(48);
            assert_key(&site, &request, "/users/7:2001\\:db8\\:1\\:\\:/48");
        }
        let mapped = parts(&[], Some("[::ffff:1.2.30.104]:80"));
        assert_key(&RequestKey::peer_ip(), &mapped, "1.2.30.104");
    }

    #[test]
    fn a_client_behind_a_translator_of_the_network_has_the_key_of_its_ipv4_address() {
        let request = parts(&[], Some("[2001:db8:64::9.8.7.6]:80"));
        let key = RequestKey::peer_ip();
        assert_key(&key, &request, "2001:db8:64::/64");
        let key = key.nat64_prefix("2001:db8:64::/96").unwrap();
        assert_key(&key, &request, "9.8.7.6");
        assert!(RequestKey::peer_ip().nat64_prefix("2001:db8::/97").is_err());
    }

    #[test]
    #[should_panic(expected = "a prefix of 1 to 128 bits, not 0")]
    fn a_network_of_all_addresses_panics() {
        let _ = RequestKey::peer_ip().ipv6_prefix(0);
    }

    #[test]
    fn what_a_request_lacks_is_a_dash_in_its_key() {
        let request = parts(&[], None);
        let address = RequestKey::peer_ip();
        let header = RequestKey::header("x-other");
        let function = RequestKey::from_fn(|_| None);
        for (key, expected) in [
            (&address, "- PeerAddress"),
            (&header, "- Header(\"x-other\")"),
            (&function, "- Value"),
            (
                &RequestKey::path().and(header.clone()),
                "/users/7:- Header(\"x-other\")",
            ),
            (&function.clone().and(address.clone()), "-:- Value"),
            (&RequestKey::x_forwarded_for(1), "- PeerAddress"),
        ] {
            let found = key.with_text(&Head::from(&request), |text, lack| {
                format!("{text} {:?}", lack.unwrap())
            });
            assert_eq!(found, expected, "{key:?}");
        }
    }

    #[test]
    fn different_lists_of_parts_have_different_texts() {
        let key = RequestKey::header("a").and(RequestKey::header("b"));
        let one = text(&key, &parts(&[("a", "x:y"), ("b", "z")], None));
        let other = text(&key, &parts(&[("a", "x"), ("b", "y:z")], None));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((&*one, &*other), ("x\\:y:z", "x:y\\:z"));
    }
}
