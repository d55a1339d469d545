//! Where translators between IPv6 and IPv4 write the IPv4 address of a host.
//!
//! RFC 6052, section 2.2: after a prefix of 32 to 96 bits, without the bits 64 to 71, which are zero. All bits
//! after the address are zero, too.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::Error;

/// The first bits of the IPv6 addresses that a translator gives to IPv4 hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Nat64Prefix {
    bits: u128,
    length: u32,
}

impl Nat64Prefix {
    /// # Errors
    /// [`Error::Config`] unless the text is a network with one of the lengths that RFC 6052 has.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parse = || {
            let (address, length) = text.split_once('/')?;
            let bits = address.parse::<Ipv6Addr>().ok()?.to_bits();
            let length = length.parse().ok()?;
            let is_prefix = bits & !mask(length) == 0;
            let known = matches!(length, 32 | 40 | 48 | 56 | 64 | 96) && is_prefix;
            known.then_some(Self { bits, length })
        };
        parse().ok_or_else(|| {
            Error::config(format!(
                "{text:?} is no NAT64 prefix: expected an IPv6 network of 32, 40, 48, 56, 64 or 96 bits, such as \
                 2001:db8:64::/96"
            ))
        })
    }

    /// Returns the IPv4 address that an IPv6 address of this network contains; `None` for other addresses.
    pub(super) fn ipv4(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bits = address.to_bits();
        (bits & mask(self.length) == self.bits).then(|| ipv4_after(bits, self.length))
    }
}

/// The IPv4 address of a host in `64:ff9b:1::/48` (RFC 8215).
///
/// Operators choose the whole prefix or longer ones in it. The number of zero bits at the end shows the length,
/// because no host has an IPv4 address that ends with three zero octets.
pub(super) fn of_local_use(address: Ipv6Addr) -> Ipv4Addr {
    let bits = address.to_bits();
    let length = match bits.trailing_zeros() {
        40.. => 48,
        32.. => 56,
        24.. => 64,
        _ => 96,
    };
    ipv4_after(bits, length)
}

/// Returns the IPv4 address after a prefix of this length.
fn ipv4_after(bits: u128, length: u32) -> Ipv4Addr {
    // Without the bits 64 to 71 the address is in one piece.
    let bits = match length {
        96 => bits,
        _ => bits >> 64 << 64 | bits << 72 >> 64,
    };
    Ipv4Addr::from_bits((bits >> (96 - length)) as u32)
}

/// Returns the mask of the first `length` bits of an address.
const fn mask(length: u32) -> u128 {
    match 128_u32.checked_sub(length) {
        Some(rest) if rest < 128 => u128::MAX << rest,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 33);

    fn ipv4(prefix: &str, address: &str) -> Option<Ipv4Addr> {
        let prefix = Nat64Prefix::parse(prefix).unwrap();
        prefix.ipv4(address.parse().unwrap())
    }

    /// The table of RFC 6052, section 2.4.
    #[test]
    fn an_address_is_found_behind_a_prefix_of_any_length() {
        for (prefix, address) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ] {
            assert_eq!(ipv4(prefix, address), Some(HOST), "{prefix}");
            assert_eq!(ipv4(prefix, "2001:db9::192.0.2.33"), None, "{prefix}");
        }
    }

    #[test]
    fn an_address_for_local_use_is_found_whatever_the_length_of_the_prefix() {
        for address in [
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1:3c0:0:221::",
            "64:ff9b:1:344:c0:2:2100::",
            "64:ff9b:1::192.0.2.33",
            "64:ff9b:1:fffe::192.0.2.33",
        ] {
            assert_eq!(of_local_use(address.parse().unwrap()), HOST, "{address}");
        }
    }

    #[test]
    fn a_prefix_is_a_network_with_a_length_of_the_standard() {
        for text in [
            "2001:db8::",
            "2001:db8::/33",
            "2001:db8::/129",
            "2001:db8::1/96",
            "10.0.0.0/32",
            "",
        ] {
            let error = Nat64Prefix::parse(text).unwrap_err().to_string();
            let expected = format!("{text:?} is no NAT64 prefix: expected an IPv6 network");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
