//! Where hits are found.
//!
//! moka decides what is kept and for how long, and to ask it for a value costs several times a look
//! into a map, for it notes each hit. So a value that was asked for again is in a map as well, which
//! is read without a lock. What moka gives up leaves this map when the next value comes in.
//!
//! moka goes by how often, and how lately, a key was asked for. That matters to it only when it has to
//! make room, so a key tells of a hit once a [round](ROUNDS), and a round ends when many values have
//! come in. Keys that are asked for round after round are known from others by that.

use std::any::Any;
use std::mem::{self, needs_drop, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ahash::RandomState;
use papaya::{Guard, HashMap};

use super::codec::CacheValue;
use super::key::{MemoryKey, Name};
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;

/// The maps of one cache, one for each type of value: of one only, unless the function is generic.
pub(super) struct Fronts {
    maps: Maps,
    given_up: Arc<GivenUp>,
    round: AtomicU32,
    /// Tells values apart that are put in: odd, so that it never is 0.
    inserted: AtomicU32,
    /// How many values have come in, and after how many of them a round ends.
    inserts: AtomicU64,
    a_round: u64,
}

/// The keys of values that moka no longer has, until they leave the maps as well.
#[derive(Debug, Default)]
pub(super) struct GivenUp(Mutex<Vec<Name>>);

impl GivenUp {
    pub(super) fn push(&self, name: Name) {
        self.names().push(name);
    }

    fn take(&self) -> Vec<Name> {
        mem::take(&mut *self.names())
    }

    fn names(&self) -> MutexGuard<'_, Vec<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list that only grows, so that nobody needs a lock to read it.
#[derive(Default)]
struct Maps(OnceLock<Box<Node>>);

struct Node {
    front: Box<dyn AnyFront>,
    next: Maps,
}

/// A map of whatever type.
trait AnyFront: Any + Send + Sync {
    fn remove_entry(&self, key: Subject<'_>);
    fn clear(&self);
}

/// The values of one type.
struct Front<T> {
    entries: HashMap<Name, Kept<T>, RandomState>,
}

struct Kept<T> {
    value: Value<T>,
    fresh_until: u64,
    /// Nobody is to see it yet: which one it is, or 0.
    pending: AtomicU32,
    /// In which round moka was last told of a hit.
    told: AtomicU32,
}

/// A value, where it is found at once if it is small.
enum Value<T> {
    Here(T),
    /// Where moka has it, too.
    There(Arc<T>),
}

/// So many rounds pass while as many values come in as there is room for.
const ROUNDS: u64 = 8;

/// How large a value may be, in bytes, to be in both places.
const SMALL: usize = 32;

/// A value that was at hand.
pub(super) struct Hit<T> {
    pub(super) value: T,
    /// Whether moka is to be told.
    pub(super) is_news: bool,
}

impl Fronts {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            maps: Maps::default(),
            given_up: Arc::default(),
            // A value that comes in has told nothing yet.
            round: AtomicU32::new(1),
            inserted: AtomicU32::new(1),
            inserts: AtomicU64::new(0),
            a_round: (capacity / ROUNDS).max(1),
        }
    }

    /// The value of a [canonical](Subject::canonical) key, unless it is no longer fresh.
    #[inline(always)]
    pub(super) fn hit<T: CacheValue>(
        &self,
        key: Subject<'_>,
        now: impl FnOnce() -> u64,
    ) -> Option<Hit<T>> {
        let round = self.round.load(Ordering::Relaxed);
        self.maps.get()?.hit(key, now, round)
    }

    /// Puts a value where it is found, once it is [shown](Self::show) by what this returns.
    pub(super) fn insert<T: CacheValue>(
        &self,
        key: &MemoryKey,
        value: Arc<T>,
        fresh_until: u64,
    ) -> u32 {
        let pending = self.inserted.fetch_add(2, Ordering::Relaxed);
        let kept = Kept {
            value: Value::new(value),
            fresh_until,
            pending: AtomicU32::new(pending),
            told: AtomicU32::new(0),
        };
        self.remove_given_up();
        let entries = &self.maps.get_or_new().entries;
        entries.pin().insert(key.name().clone(), kept);
        pending
    }

    /// From now on the value is at hand, if it still is that one.
    pub(super) fn show<T: CacheValue>(&self, key: Subject<'_>, pending: u32) {
        if let Some(kept) = self.maps.get_or_new::<T>().entries.pin().get(&key) {
            let (shown, order) = (0, Ordering::Release);
            let _ = (kept.pending).compare_exchange(pending, shown, order, Ordering::Relaxed);
        }
    }

    /// A value has come in, which is not at hand yet: one before it no longer is.
    pub(super) fn note_insert(&self, key: Subject<'_>) {
        if (self.inserts.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.a_round) {
            self.round.fetch_add(1, Ordering::Relaxed);
        }
        self.remove(key);
        self.remove_given_up();
    }

    /// Where moka tells what it has given up.
    pub(super) const fn given_up(&self) -> &Arc<GivenUp> {
        &self.given_up
    }

    /// A newer value of such a key costs it a look at moka.
    fn remove_given_up(&self) {
        for name in self.given_up.take() {
            self.remove(name.user());
        }
    }

    /// Whatever the type: that of another type with the same key costs it a look at moka.
    pub(super) fn remove(&self, key: Subject<'_>) {
        self.maps.each(|front| front.remove_entry(key));
    }

    pub(super) fn clear(&self) {
        self.maps.each(AnyFront::clear);
    }
}

impl Maps {
    /// The map of this type, if there is one yet.
    #[inline]
    fn get<T: CacheValue>(&self) -> Option<&Front<T>> {
        let mut node = self.0.get()?;
        loop {
            let front: &dyn Any = &*node.front;
            match front.downcast_ref() {
                Some(front) => return Some(front),
                None => node = node.next.0.get()?,
            }
        }
    }

    /// The map of this type.
    fn get_or_new<T: CacheValue>(&self) -> &Front<T> {
        let mut place = self;
        loop {
            let node = place.0.get_or_init(|| {
                Box::new(Node {
                    front: Box::new(Front::<T>::new()),
                    next: Self::default(),
                })
            });
            let front: &dyn Any = &*node.front;
            match front.downcast_ref() {
                Some(front) => return front,
                None => place = &node.next,
            }
        }
    }

    fn each(&self, visit: impl Fn(&dyn AnyFront)) {
        let mut place = self;
        while let Some(node) = place.0.get() {
            visit(&*node.front);
            place = &node.next;
        }
    }
}

impl<T: CacheValue> AnyFront for Front<T> {
    fn remove_entry(&self, key: Subject<'_>) {
        let guard = self.entries.guard();
        if self.entries.remove(&key, &guard).is_some() {
            Self::let_go(&guard);
        }
    }

    fn clear(&self) {
        let guard = self.entries.guard();
        self.entries.clear(&guard);
        Self::let_go(&guard);
    }
}

impl<T: CacheValue> Front<T> {
    /// What was removed is freed as soon as nobody reads it. Otherwise each thread would keep the last
    /// few: of small values that is nothing.
    fn let_go(guard: &impl Guard) {
        if !Value::<T>::IS_SMALL {
            guard.flush();
        }
    }

    fn new() -> Self {
        Self {
            entries: HashMap::builder().hasher(secret_hasher()).build(),
        }
    }

    #[inline(always)]
    fn hit(&self, key: Subject<'_>, now: impl FnOnce() -> u64, round: u32) -> Option<Hit<T>> {
        let entries = self.entries.pin();
        let kept = entries.get(&key)?;
        // What lives for ever does so whatever the time.
        if kept.fresh_until != u64::MAX && now() >= kept.fresh_until
            || kept.pending.load(Ordering::Acquire) != 0
        {
            return None;
        }
        let is_news = kept.told.load(Ordering::Relaxed) != round;
        if is_news {
            kept.told.store(round, Ordering::Relaxed);
        }
        // What the user's `Clone` does it does under no lock.
        let value = kept.value.get().clone();
        Some(Hit { value, is_news })
    }
}

impl<T: CacheValue> Value<T> {
    /// Without anything elsewhere that a second one would need memory for.
    const IS_SMALL: bool = !needs_drop::<T>() && size_of::<T>() <= SMALL;

    fn new(value: Arc<T>) -> Self {
        match Self::IS_SMALL {
            true => Self::Here((*value).clone()),
            false => Self::There(value),
        }
    }

    #[inline]
    fn get(&self) -> &T {
        match self {
            Self::Here(value) => value,
            Self::There(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::thread;

    use super::super::key::BorrowedKey;
    use super::*;

    #[test]
    fn threads_that_are_gone_keep_no_values() {
        let (fronts, value) = (Fronts::new(10), Arc::new("large".to_owned()));
        thread::scope(|scope| {
            for nth in 0..50 {
                let (fronts, value) = (&fronts, &value);
                scope.spawn(move || {
                    for key in (100 * nth)..(100 * nth + 40) {
                        let user = Subject::Number(key);
                        let key = BorrowedKey::new(TypeId::of::<Arc<String>>(), user).into();
                        let pending = fronts.insert(&key, Arc::new(Arc::clone(value)), u64::MAX);
                        fronts.show::<Arc<String>>(user, pending);
                        assert!(fronts.hit::<Arc<String>>(user, || 0).is_some());
                        fronts.remove(user);
                    }
                });
            }
        });
        fronts.clear();
        // Each thread would keep up to 31.
        let kept = Arc::strong_count(&value) - 1;
        assert!(kept < 100, "{kept}");
    }
}
