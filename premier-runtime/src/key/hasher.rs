//! How keys are found: clients choose them, and must not choose collisions.

use std::hash::BuildHasher;

use ahash::RandomState;

/// A hasher of its own secret, made of std's.
pub(crate) fn secret_hasher() -> RandomState {
    let secret = std::hash::RandomState::new();
    let seed = |nth: u64| secret.hash_one(nth);
    RandomState::with_seeds(seed(0), seed(1), seed(2), seed(3))
}
