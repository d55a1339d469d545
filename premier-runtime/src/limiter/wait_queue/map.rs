//! Queues by key, each of which exists while it is in use.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::LazyLock;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::key::hasher::secret_hasher;
use crate::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering, lock};

/// Callers choose keys and must not be able to choose collisions.
static HASHER: LazyLock<RandomState> = LazyLock::new(secret_hasher);

/// The capacity that a map keeps when its last queue is removed. A larger one is freed.
const KEPT: usize = 64;

/// Queues of the type `Q`, found by a caller's key and a `kind` that distinguishes several queues of
/// one key.
///
/// The lock is held to find, insert or remove a queue and for nothing else. A map that was never
/// used has allocated nothing.
#[derive(Debug)]
pub(crate) struct QueueMap<K, Q> {
    /// Number of queues, to be read without the lock.
    len: AtomicUsize,
    table: Mutex<HashTable<Slot<K, Q>>>,
}

#[derive(Debug)]
struct Slot<K, Q> {
    entry: Arc<Entry<K, Q>>,
    /// How many [`QueueRef`]s there are.
    users: usize,
}

#[derive(Debug)]
struct Entry<K, Q> {
    hash: u64,
    kind: K,
    key: Option<Box<str>>,
    queue: Q,
}

impl<K: Eq, Q> Slot<K, Q> {
    fn is_for(&self, kind: &K, key: Option<&str>) -> bool {
        self.entry.kind == *kind && self.entry.key.as_deref() == key
    }
}

impl<K, Q> Default for QueueMap<K, Q> {
    fn default() -> Self {
        Self {
            len: AtomicUsize::new(0),
            table: Mutex::new(HashTable::new()),
        }
    }
}

impl<K, Q> QueueMap<K, Q> {
    fn lock(&self) -> MutexGuard<'_, HashTable<Slot<K, Q>>> {
        lock(&self.table)
    }

    /// Whether no queue is in use. Takes no lock.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }

    /// All queues in use.
    pub(crate) fn all(&self) -> Vec<QueueRef<'_, K, Q>> {
        let refer = |slot: &mut Slot<K, Q>| {
            slot.users += 1;
            let entry = Arc::clone(&slot.entry);
            QueueRef { map: self, entry }
        };
        self.lock().iter_mut().map(refer).collect()
    }
}

#[cfg(feature = "cache")]
impl<K, Q> QueueMap<K, Q> {
    /// Removes the queues of the keys for which `matches` returns true, and returns them. Their waiters stay in them;
    /// later callers enter new queues.
    pub(crate) fn detach(&self, matches: impl Fn(Option<&str>) -> bool) -> Vec<QueueRef<'_, K, Q>> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut table = self.lock();
        let detached = table
            .extract_if(|slot| matches(slot.entry.key.as_deref()))
            .map(|slot| QueueRef {
                map: self,
                entry: slot.entry,
            })
            .collect();
        self.len.store(table.len(), Ordering::SeqCst);
        drop(table);
        detached
    }
}

impl<K: Eq + Hash, Q: Default> QueueMap<K, Q> {
    /// Whether the queue of a key is in use.
    pub(crate) fn contains(&self, kind: K, key: Option<&str>) -> bool {
        if self.is_empty() {
            return false;
        }
        let hash = HASHER.hash_one((&kind, key));
        let is_it = |slot: &Slot<K, Q>| slot.is_for(&kind, key);
        self.lock().find(hash, is_it).is_some()
    }

    /// The queue of a key, if it is in use.
    pub(crate) fn get(&self, kind: K, key: Option<&str>) -> Option<QueueRef<'_, K, Q>> {
        if self.is_empty() {
            return None;
        }
        let hash = HASHER.hash_one((&kind, key));
        let mut table = self.lock();
        let slot = table.find_mut(hash, |slot| slot.is_for(&kind, key))?;
        slot.users += 1;
        let entry = Arc::clone(&slot.entry);
        drop(table);
        Some(QueueRef { map: self, entry })
    }

    /// The queue of a key, which is created if it is not in use.
    pub(crate) fn enter(&self, kind: K, key: Option<&str>) -> QueueRef<'_, K, Q> {
        let hash = HASHER.hash_one((&kind, key));
        let mut table = self.lock();
        if let Some(slot) = table.find_mut(hash, |slot| slot.is_for(&kind, key)) {
            slot.users += 1;
            let entry = Arc::clone(&slot.entry);
            drop(table);
            return QueueRef { map: self, entry };
        }
        let entry = Arc::new(Entry {
            hash,
            kind,
            key: key.map(Into::into),
            queue: Q::default(),
        });
        let slot = Slot {
            entry: Arc::clone(&entry),
            users: 1,
        };
        table.insert_unique(hash, slot, |slot| slot.entry.hash);
        self.len.store(table.len(), Ordering::SeqCst);
        drop(table);
        QueueRef { map: self, entry }
    }
}

/// A queue in use. When the last reference is dropped, the queue leaves its map, unless it was detached.
#[derive(Debug)]
pub(crate) struct QueueRef<'a, K, Q> {
    map: &'a QueueMap<K, Q>,
    entry: Arc<Entry<K, Q>>,
}

impl<K, Q> QueueRef<'_, K, Q> {
    /// The caller's key.
    pub(crate) fn key(&self) -> Option<&str> {
        self.entry.key.as_deref()
    }

    /// Removes the queue from its map. Later callers enter a new one.
    #[cfg(feature = "cache")]
    pub(crate) fn detach(&self) {
        let mut table = self.map.lock();
        let is_it = |slot: &Slot<K, Q>| Arc::ptr_eq(&slot.entry, &self.entry);
        if let Ok(found) = table.find_entry(self.entry.hash, is_it) {
            // The entry itself stays with this reference.
            found.remove();
            self.map.len.store(table.len(), Ordering::SeqCst);
        }
    }
}

impl<K, Q> Deref for QueueRef<'_, K, Q> {
    type Target = Q;

    fn deref(&self) -> &Q {
        &self.entry.queue
    }
}

impl<K, Q> Drop for QueueRef<'_, K, Q> {
    fn drop(&mut self) {
        let mut table = self.map.lock();
        let is_it = |slot: &Slot<K, Q>| Arc::ptr_eq(&slot.entry, &self.entry);
        let Ok(mut found) = table.find_entry(self.entry.hash, is_it) else {
            return;
        };
        found.get_mut().users -= 1;
        if found.get().users > 0 {
            return;
        }
        // The entry itself is dropped by the field of this reference, without the lock.
        found.remove();
        if table.is_empty() && table.capacity() > KEPT {
            *table = HashTable::new();
        }
        self.map.len.store(table.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::QueueMap;

    #[test]
    fn a_queue_is_there_while_somebody_uses_it() {
        let map = QueueMap::<u8, ()>::default();
        let first = map.enter(0, Some("k"));
        let second = map.get(0, Some("k"));
        assert!(map.contains(0, Some("k")));
        for (kind, key) in [(1, Some("k")), (0, None), (0, Some(""))] {
            assert!(!map.contains(kind, key) && map.get(kind, key).is_none());
        }
        drop(first);
        assert!(map.contains(0, Some("k")) && map.all().len() == 1);
        drop(second);
        assert!(map.is_empty() && !map.contains(0, Some("k")));
    }

    #[cfg(feature = "cache")]
    #[test]
    fn a_queue_that_was_detached_is_not_entered_again() {
        let map = QueueMap::<u8, std::sync::atomic::AtomicBool>::default();
        let set = |queue: &std::sync::atomic::AtomicBool| {
            queue.swap(true, std::sync::atomic::Ordering::Relaxed)
        };
        let (first, other) = (map.enter(0, Some("k")), map.enter(1, Some("k")));
        set(&first);
        first.detach();
        let second = map.enter(0, Some("k"));
        assert!(!set(&second), "it is another queue");
        drop(first);
        assert!(map.contains(0, Some("k")));
        let detached = map.detach(|key| key == Some("k"));
        assert!(detached.len() == 2 && map.is_empty());
        drop((detached, second, other));
        assert!(map.is_empty());
    }
}
