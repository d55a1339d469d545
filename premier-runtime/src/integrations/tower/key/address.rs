//! Keys that contain the address of the client.

use std::net::IpAddr;
use std::sync::Arc;

use http::Extensions;

use super::{RequestKey, header_name};
use crate::error::Error;
use crate::integrations::tower::client_address::{ClientAddress, Source};
use crate::integrations::tower::key_text::Part;
use crate::integrations::tower::nat64::Nat64Prefix;
use crate::integrations::tower::proxies::TrustedProxies;

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
    /// // Behind one nginx, through which all requests come.
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
    /// the same host, return the address of the loopback interface.
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

    fn address(source: Source) -> Self {
        Self(vec![Part::Address(source.into())])
    }

    fn addresses(&mut self) -> impl Iterator<Item = &mut ClientAddress> {
        self.0.iter_mut().filter_map(|part| match part {
            Part::Address(address) => Some(address),
            _ => None,
        })
    }
}
