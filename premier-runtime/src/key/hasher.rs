//! Hashing of keys. Clients choose keys, so the hash is seeded to prevent chosen collisions.

use std::hash::BuildHasher;

use ahash::RandomState;

/// Returns a hasher with a random seed, taken from std's `RandomState`.
pub(crate) fn secret_hasher() -> RandomState {
    let secret = std::hash::RandomState::new();
    let seed = |index: u64| secret.hash_one(index);
    RandomState::with_seeds(seed(0), seed(1), seed(2), seed(3))
}
