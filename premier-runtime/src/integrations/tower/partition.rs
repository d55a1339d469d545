//! The parameter `pk` of the `RateLimit` header.

use std::num::NonZeroU64;

/// The FNV-1a hash of a request's key, by which headers name the key: the response does not repeat the key, and all
/// processes send an equal value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PartitionKey(NonZeroU64);

impl PartitionKey {
    pub(super) fn of(key: &str) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let hash = key.bytes().fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        });
        // Not zero, so that `Option<PartitionKey>` takes eight bytes.
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MAX))
    }

    /// Returns the base64 of the eight bytes, the most significant first.
    pub(super) fn encode(self) -> [u8; 12] {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits = u128::from(self.0.get()) << 2;
        std::array::from_fn(|index| match index {
            11 => b'=',
            _ => ALPHABET[(bits >> (60 - 6 * index)) as usize % 64],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u64) -> PartitionKey {
        PartitionKey(NonZeroU64::new(number).unwrap())
    }

    /// From the test vectors of the FNV hash's authors.
    #[test]
    fn a_key_is_hashed_by_fnv_1a() {
        assert_eq!(PartitionKey::of(""), partition(0xcbf2_9ce4_8422_2325));
        assert_eq!(PartitionKey::of("foobar"), partition(0x8594_4171_f739_67e8));
    }

    #[test]
    fn eight_bytes_are_twelve_characters() {
        assert_eq!(&partition(1).encode(), b"AAAAAAAAAAE=");
        assert_eq!(&partition(u64::MAX).encode(), b"//////////8=");
        let text = u64::from_be_bytes(*b"eleganc3");
        assert_eq!(&partition(text).encode(), b"ZWxlZ2FuYzM=");
    }
}
