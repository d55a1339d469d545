//! The states of a limit with keys.

use std::sync::{LazyLock, OnceLock};

use ahash::RandomState;

use super::key_count::TableKeys;
use super::shard::Shard;
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;
use crate::sync::{Mutex, MutexGuard, lock, try_lock};

static HASHER: LazyLock<RandomState> = LazyLock::new(secret_hasher);

const SHARDS: usize = 32;
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

/// How many keys a limiter may have before it is split into shards.
const FEW: usize = 64;

/// The limiter of a name with keys: a map, which is split into shards once it has many keys or threads contend for
/// it. Most limits of a program with a limit for each of its customers are never split, and 32 shards take 8 KiB.
#[derive(Debug)]
pub(super) struct KeyedLimiter {
    /// Keyed by a secret of the process: clients choose keys, and must not choose collisions.
    pub(super) hasher: &'static RandomState,
    /// All keys until there are shards; then it is empty.
    few: Mutex<Shard>,
    /// Set by the holder of the lock of `few`.
    shards: OnceLock<Box<Shards>>,
}

#[derive(Debug)]
struct Shards {
    shards: [CacheAligned; SHARDS],
    /// Where the last sweep of several shards ended.
    sweep_cursor: Mutex<usize>,
}

/// A shard on cache lines of its own, so that threads on different shards do not slow each other.
#[derive(Debug)]
#[repr(align(128))]
struct CacheAligned(Mutex<Shard>);

impl KeyedLimiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: &HASHER,
            few: Mutex::default(),
            shards: OnceLock::new(),
        }
    }

    /// Locks the shard of the keys with this hash.
    pub(super) fn lock_shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let shard = self.lock_shard_once(hash);
        // The shards may have been made before the lock was taken; `few` is empty then.
        match self.shards.get() {
            Some(_) if shard.len() == 0 => {
                drop(shard);
                self.lock_shard_once(hash)
            }
            _ => shard,
        }
    }

    /// As [`KeyedLimiter::lock_shard`], to look for a key. A key that is being moved is not found.
    #[inline]
    pub(super) fn lock_shard_once(&self, hash: u64) -> MutexGuard<'_, Shard> {
        if let Some(shards) = self.shards.get() {
            return lock(shards.of(hash));
        }
        match try_lock(&self.few) {
            Some(few) => few,
            None => self.lock_new_shard(lock(&self.few), hash),
        }
    }

    /// Locks a shard after another thread held the lock of `few`.
    #[cold]
    fn lock_new_shard(&self, mut few: MutexGuard<'_, Shard>, hash: u64) -> MutexGuard<'_, Shard> {
        let shards = self.split(&mut few);
        drop(few);
        lock(shards.of(hash))
    }

    /// Splits the map if it has grown too large. `shard` is locked, and a key was inserted into it.
    #[inline]
    pub(super) fn split_if_large(&self, shard: &mut Shard) {
        // While there are no shards, the locked one is `few`.
        if shard.len() > FEW && self.shards.get().is_none() {
            self.split(shard);
        }
    }

    #[cold]
    fn split(&self, few: &mut Shard) -> &Shards {
        self.shards.get_or_init(|| {
            let mut shards: [Shard; SHARDS] = std::array::from_fn(|_| Shard::default());
            std::mem::take(few).split(&mut shards, shard_of, self.hasher);
            Box::new(Shards {
                shards: shards.map(|shard| CacheAligned(Mutex::new(shard))),
                sweep_cursor: Mutex::default(),
            })
        })
    }

    /// Calls `work` with each shard in turn until it returns whether to stop, beginning after the one at
    /// which the last call stopped.
    pub(super) fn rotate(&self, mut work: impl FnMut(&mut Shard) -> bool) {
        let Some(Shards {
            shards,
            sweep_cursor,
        }) = self.shards.get().map(|shards| &**shards)
        else {
            work(&mut lock(&self.few));
            return;
        };
        for _ in 0..SHARDS {
            let index = {
                let mut cursor = lock(sweep_cursor);
                *cursor = (*cursor + 1) % SHARDS;
                *cursor
            };
            if work(&mut lock(&shards[index].0)) {
                return;
            }
        }
    }

    /// Calls `work` with each shard.
    pub(super) fn each(&self, mut work: impl FnMut(&mut Shard)) {
        work(&mut lock(&self.few));
        let shards = self.shards.get().map(|shards| &shards.shards);
        for CacheAligned(shard) in shards.into_iter().flatten() {
            work(&mut lock(shard));
        }
    }

    pub(super) fn remove(&self, shard: &mut Shard, hash: u64, key: Subject<'_>, count: &TableKeys) {
        if shard.remove(hash, key) {
            count.remove(1);
        }
    }
}

impl Shards {
    #[inline]
    fn of(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[shard_of(hash)].0
    }
}

#[inline]
fn shard_of(hash: u64) -> usize {
    // The map itself uses the low bits and the top seven.
    let bits = (hash >> 48) as u8;
    usize::from(SHARD_OF[usize::from(bits)]) % SHARDS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::states::States;
    use super::*;
    use crate::algorithms::{Plan, TimeBase};
    use crate::limit::quota::Limit;

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

    /// Inserts keys of both kinds until the limiter is split, each with a word that only it has.
    fn grow(limiter: &KeyedLimiter, keys: std::ops::Range<u64>) {
        for number in keys {
            for key in [
                Subject::Number(number),
                Subject::Text(&format!("key-{number}")),
            ] {
                let hash = limiter.hasher.hash_one(key);
                let mut shard = limiter.lock_shard(hash);
                shard.insert(hash, key, number, limiter.hasher);
                limiter.split_if_large(&mut shard);
            }
        }
    }

    #[track_caller]
    fn assert_has(limiter: &KeyedLimiter, keys: std::ops::Range<u64>) {
        let (mut len, expected) = (0, (keys.end - keys.start) as usize * 2);
        limiter.each(|shard| len += shard.len());
        assert_eq!(len, expected);
        for number in keys {
            for key in [
                Subject::Number(number),
                Subject::Text(&format!("key-{number}")),
            ] {
                let hash = limiter.hasher.hash_one(key);
                let word = limiter.lock_shard(hash).word(hash, key).copied();
                assert_eq!(word, Some(number));
            }
        }
    }

    #[test]
    fn a_map_with_many_keys_is_split_and_keeps_them() {
        let limiter = KeyedLimiter::new();
        grow(&limiter, 0..FEW as u64 / 2);
        assert!(limiter.shards.get().is_none());
        assert_has(&limiter, 0..FEW as u64 / 2);
        grow(&limiter, FEW as u64 / 2..1_000);
        assert!(limiter.shards.get().is_some());
        assert_has(&limiter, 0..1_000);
    }

    #[test]
    fn a_map_in_which_threads_meet_is_split_and_keeps_its_keys() {
        let limiter = KeyedLimiter::new();
        grow(&limiter, 0..3);
        drop(limiter.lock_new_shard(lock(&limiter.few), 0));
        assert!(limiter.shards.get().is_some());
        assert_has(&limiter, 0..3);
        grow(&limiter, 3..5);
        assert_has(&limiter, 0..5);
    }

    #[test]
    fn states_that_are_no_words_move_with_their_keys() {
        let plan = Plan::new(Limit::fixed_window(100, Duration::from_secs(1))).unwrap();
        let base = TimeBase::new(1, 0);
        let mut whole = Shard::default();
        let hasher = secret_hasher();
        for number in 0..100 {
            let mut states = States::default();
            let _ = states.as_mut_slice()[0].take(&plan, 0, number + 1);
            let word = whole.keep(states, &[plan], base);
            let hash = hasher.hash_one(Subject::Number(number));
            whole.insert(hash, Subject::Number(number), word, &hasher);
        }
        let mut shards: [Shard; SHARDS] = std::array::from_fn(|_| Shard::default());
        whole.split(&mut shards, shard_of, &hasher);
        for number in 0..100 {
            let hash = hasher.hash_one(Subject::Number(number));
            let shard = &mut shards[shard_of(hash)];
            let word = *shard.word(hash, Subject::Number(number)).unwrap();
            let mut states = shard.take(word, base);
            let window = states.as_mut_slice()[0].window().unwrap();
            assert_eq!(window.cur, number + 1);
        }
    }
}
