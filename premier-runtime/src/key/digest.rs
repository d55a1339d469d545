//! The digest that stands for a long key in a store.

use std::array;
use std::sync::LazyLock;

use ahash::RandomState;

use crate::key::hasher::secret_hasher;

/// The longest key in bytes that a store keeps as it is. Clients choose keys, and may send headers of any length.
pub(crate) const MAX_PLAIN_LEN: usize = 128;

static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| array::from_fn(|_| secret_hasher()));

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The length of 128 bits in letters of six bits each.
const LEN: usize = 22;

/// Stands for a long key in this process: two hashes with secrets that clients do not know, as a text. Collisions
/// do not occur, and no client can compute a text that is taken for another key.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Digest([u8; LEN]);

impl Digest {
    /// The digest of a key that is longer than [`MAX_PLAIN_LEN`]; `None` for a shorter one.
    #[inline]
    pub(crate) fn of_long(key: &str) -> Option<Self> {
        (key.len() > MAX_PLAIN_LEN).then(|| Self::of(key))
    }

    #[cold]
    fn of(key: &str) -> Self {
        let [high, low] = &*HASHERS;
        let hash = u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key));
        Self(array::from_fn(|index| {
            LETTERS[(hash >> (6 * index)) as usize % LETTERS.len()]
        }))
    }

    pub(crate) fn as_str(&self) -> &str {
        // The letters are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The beginning of a key, of at most this many bytes, to show a long key.
pub(crate) fn beginning(key: &str, most: usize) -> &str {
    let is_boundary = |at: &usize| key.is_char_boundary(*at);
    let end = (0..=most.min(key.len())).rev().find(is_boundary);
    &key[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(beginning("key", 3), "key");
        assert_eq!(beginning("key", 2), "ke");
        assert_eq!(beginning("éé", 3), "é");
        assert_eq!(beginning("é", 1), "");
    }

    #[test]
    fn only_long_keys_have_a_digest_and_each_has_its_own() {
        assert!(Digest::of_long(&"x".repeat(MAX_PLAIN_LEN)).is_none());
        let digests: std::collections::BTreeSet<_> = (1..100)
            .map(|more| Digest::of_long(&"x".repeat(MAX_PLAIN_LEN + more)).unwrap())
            .map(|digest| digest.as_str().to_owned())
            .collect();
        assert_eq!(digests.len(), 99);
        assert!(digests.iter().all(|digest| digest.len() == LEN));
        let key = "x".repeat(1_000);
        let digest = || Digest::of_long(&key).unwrap().as_str().to_owned();
        assert_eq!(digest(), digest());
    }
}
