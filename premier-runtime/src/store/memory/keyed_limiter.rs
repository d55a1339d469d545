//! The states of a limit with keys.

use ahash::RandomState;

use super::key_count::KeyCount;
use super::shard::Shard;
use super::sync::Mutex;
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;

pub(super) const SHARDS: usize = 32;
/// The shard of a hash with these bits. The last shard has about twice as many keys as the first, so
/// that shards outgrow their memory one after the other and a table never holds twice what it needs.
const SHARD_OF: [u8; 256] = {
    const fn share(shard: usize) -> usize {
        SHARDS + shard
    }
    let all = SHARDS * (share(0) + share(SHARDS - 1)) / 2;
    let (mut of, mut bits) = ([0; 256], 0);
    let (mut shard, mut end) = (0, share(0));
    while bits < of.len() {
        if bits * all >= end * of.len() {
            shard += 1;
            end += share(shard);
        }
        // Below 32.
        of[bits] = shard as u8;
        bits += 1;
    }
    of
};

/// The limiter of a name with keys: a map, split into shards so that threads rarely meet.
#[derive(Debug)]
pub(super) struct KeyedLimiter {
    // KeyedLimiter by a secret per table: clients choose keys, and must not choose collisions.
    pub(super) hasher: RandomState,
    pub(super) shards: [CacheAligned; SHARDS],
    pub(super) next_shard: Mutex<usize>,
}

/// A shard on cache lines of its own, so that threads on different shards do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct CacheAligned(pub(super) Mutex<Shard>);

impl KeyedLimiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: secret_hasher(),
            shards: std::array::from_fn(|_| CacheAligned::default()),
            next_shard: Mutex::default(),
        }
    }

    #[inline]
    pub(super) fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The map itself uses the low bits and the top seven.
        let bits = (hash >> 48) as u8;
        &self.shards[usize::from(SHARD_OF[usize::from(bits)]) % SHARDS].0
    }

    pub(super) fn remove(&self, shard: &mut Shard, hash: u64, key: Subject<'_>, count: &KeyCount) {
        if shard.remove(hash, key) {
            count.remove(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_grow_from_one_size_to_twice_that() {
        let sizes: Vec<_> = (0..SHARDS)
            .map(|shard| {
                SHARD_OF
                    .iter()
                    .filter(|of| usize::from(**of) == shard)
                    .count()
            })
            .collect();
        assert!(
            sizes.iter().all(|size| (5..=11).contains(size)),
            "{sizes:?}"
        );
        assert!(
            sizes[..8].iter().max() < sizes[24..].iter().min(),
            "{sizes:?}"
        );
    }
}
