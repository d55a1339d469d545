//! How much was invalidated, for those who had begun before.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use ahash::RandomState;

use crate::key::subject::Subject;

const GROUPS: usize = 32;

/// How often keys were invalidated, in groups of keys: an invalidation of one key says nothing of
/// most others.
pub(super) struct Forgotten {
    hasher: RandomState,
    all: AtomicU64,
    groups: [AtomicU64; GROUPS],
}

/// A moment in the history of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    group: u8,
    count: u64,
}

impl Mark {
    /// What it is after all was forgotten once more, and nothing else.
    pub(super) const fn after_a_clear(self) -> Self {
        Self {
            count: self.count + 1,
            ..self
        }
    }
}

impl Forgotten {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            all: AtomicU64::new(0),
            groups: Default::default(),
        }
    }

    /// How much was invalidated that may be this key.
    pub(super) fn mark(&self, key: Subject<'_>) -> Mark {
        let group = self.group(key);
        Mark {
            group,
            count: self.count(group),
        }
    }

    /// Whether nothing was invalidated since that may be its key.
    ///
    /// Who puts something where it is found asks afterwards; who invalidates counts first and looks
    /// there afterwards. One of them sees the other.
    pub(super) fn is_current(&self, mark: Mark) -> bool {
        fence(Ordering::SeqCst);
        self.count(mark.group) == mark.count
    }

    /// How often all was invalidated.
    pub(super) fn clears(&self) -> u64 {
        self.all.load(Ordering::SeqCst)
    }

    pub(super) fn one(&self, key: Subject<'_>) {
        let group = usize::from(self.group(key));
        self.groups[group].fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(super) fn all(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn count(&self, group: u8) -> u64 {
        let group = self.groups[usize::from(group) % GROUPS].load(Ordering::SeqCst);
        self.all.load(Ordering::SeqCst) + group
    }

    fn group(&self, key: Subject<'_>) -> u8 {
        // The remainder is below the length.
        (self.hasher.hash_one(key.canonical()) % GROUPS as u64) as u8
    }
}
