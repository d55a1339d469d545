//! The proxies whose headers are trusted.
//!
//! Networks are parsed here instead of by a crate: it takes a few lines, no foreign type becomes part
//! of the public interface, and IPv4-mapped addresses are compared as IPv4 addresses.

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::Error;

/// The proxies in front of a service. Only they are trusted to report the address of a client.
///
/// [`RequestKey::x_forwarded_for`](super::RequestKey::x_forwarded_for) and the constructors beside it
/// take this type or a number of proxies.
///
/// | proxies | what is trusted | what must hold |
/// | --- | --- | --- |
/// | [`TrustedProxies::hops`] | one entry for each proxy | requests cannot reach the service around the proxies |
/// | [`TrustedProxies::networks`] | what a peer or proxy with an address in these networks says | clients have no address in these networks |
///
/// ```
/// use premier::tower::{RequestKey, TrustedProxies};
///
/// let proxies = TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"])?;
/// let client = RequestKey::x_forwarded_for(proxies);
/// # let _ = client;
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies(pub(super) Trust);

#[derive(Clone, Debug)]
pub(super) enum Trust {
    Hops(usize),
    Networks(Networks),
}

#[derive(Clone, Debug)]
pub(super) struct Networks(Arc<[Network]>);

impl TrustedProxies {
    /// Trusts `count` proxies, the number that every request passes. With 0 no header is read, and the client is
    /// the peer.
    ///
    /// `count` must be exact, and requests must not reach the service around the proxies. Otherwise
    /// clients choose the address themselves.
    ///
    /// ```
    /// use premier::tower::{RequestKey, TrustedProxies};
    ///
    /// // Equal to `RequestKey::x_forwarded_for(2)`.
    /// let key = RequestKey::x_forwarded_for(TrustedProxies::hops(2));
    /// # let _ = key;
    /// ```
    #[must_use]
    pub const fn hops(count: usize) -> Self {
        Self(Trust::Hops(count))
    }

    /// Trusts the proxies with an address in one of these networks, such as `10.0.0.0/8`, `fd00::/8`
    /// or `192.0.2.7`.
    ///
    /// The client is the first address that is not in these networks, counted from the peer outwards.
    /// A header is not read unless the peer is in them, so a request that reaches the service around
    /// the proxies has the address of its peer. Where all addresses are in them, as those of an
    /// internal caller are, the outermost one counts.
    ///
    /// # Errors
    /// [`Error::Config`] when a network is neither an address nor an address with the length of its
    /// prefix.
    ///
    /// ```
    /// use premier::tower::TrustedProxies;
    ///
    /// let proxies = TrustedProxies::networks(["10.0.0.0/8", "192.0.2.7"])?;
    /// assert!(TrustedProxies::networks(["10.0.0.0/33"]).is_err());
    /// # let _ = proxies;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn networks<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, Error> {
        let parse = |text: N| {
            let text = text.as_ref();
            Network::parse(text).ok_or_else(|| {
                Error::config(format!(
                    "{text:?} is no network of proxies: expected an address such as 192.0.2.7, or a \
                     network such as 10.0.0.0/8 or fd00::/8"
                ))
            })
        };
        let networks: Result<_, _> = networks.into_iter().map(parse).collect();
        Ok(Self(Trust::Networks(Networks(networks?))))
    }
}

/// Trusts this number of proxies, as [`TrustedProxies::hops`] does.
impl From<usize> for TrustedProxies {
    fn from(hops: usize) -> Self {
        Self::hops(hops)
    }
}

impl Networks {
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The addresses that share their first bits.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let parsed: IpAddr = address.parse().ok()?;
        let address = parsed.to_canonical();
        // The length of `::ffff:10.0.0.0/104` counts 96 bits that the IPv4 address does not have.
        let unused = width(parsed) - width(address);
        let prefix = match prefix {
            Some(prefix) => prefix.parse::<u32>().ok()?.checked_sub(unused)?,
            None => width(address),
        };
        (prefix <= width(address)).then_some(Self { address, prefix })
    }

    /// Other addresses that contain an IPv4 address, such as those of 6to4, are not in IPv4 networks: their hosts
    /// can choose it.
    fn contains(&self, address: IpAddr) -> bool {
        let host_bits = width(self.address) - self.prefix;
        let is_equal =
            |one: u128, other: u128| (one ^ other).checked_shr(host_bits).unwrap_or(0) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                is_equal(network.to_bits().into(), address.to_bits().into())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                is_equal(network.to_bits(), address.to_bits())
            }
            _ => false,
        }
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_share_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.128/25", "192.0.2.129", "192.0.2.127"),
            ("0.0.0.0/0", "9.9.9.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "9.9.9.9"),
            ("2001:db8:1200::/39", "2001:db8:13ff::1", "2001:db8:1400::1"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            // A host behind 6to4, NAT64 or Teredo is not the IPv4 address that it stands for.
            ("10.0.0.0/8", "10.0.0.1", "2002:a00:1::1"),
            ("10.0.0.0/8", "10.0.0.1", "64:ff9b::10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", "::10.0.0.1"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(
                parsed.contains(inside.parse().unwrap()),
                "{network}: {inside}"
            );
            assert!(
                !parsed.contains(outside.parse().unwrap()),
                "{network}: {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_text() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0/8",
            "fd00::/129",
            "proxy",
            "::ffff:10.0.0.0/8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
        ] {
            let error = TrustedProxies::networks([text]).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
