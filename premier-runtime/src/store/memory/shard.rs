//! A shard: one part of a table's keys with their states.
//!
//! Entries are small, because with many keys most of the time of a call is a cache miss on its entry.
//! A numeric key is stored as a number, a text key of up to 22 bytes inline, and the state of a
//! bucket as one packed word. All other states are in a slab, and the word is their index.

use std::hash::{Hash, Hasher};

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use super::states::States;
use crate::algorithms::{Plan, TimeBase};
use crate::key::subject::Subject;

#[derive(Debug, Default)]
pub(super) struct Shard {
    numbers: Map<u64>,
    texts: Map<TextKey>,
    /// The states that cannot be packed into a word.
    states: Slab<States>,
}

/// The first key takes the place of the hash table, because there may be many limits with one key.
#[derive(Debug, Default)]
enum Map<K> {
    #[default]
    Empty,
    One(MapEntry<K>),
    Many {
        entries: HashTable<MapEntry<K>>,
        /// The bucket of the hash table at which the last sweep ended.
        sweep_cursor: usize,
    },
}

#[derive(Debug)]
struct MapEntry<K> {
    key: K,
    /// A packed state, or [`APART`] plus the index of the states in [`Shard::states`].
    word: u64,
}

/// Marks a word that is an index into the slab. No packed state has this bit.
const APART: u64 = 1 << 63;

const MAX_INLINE_LEN: usize = 22;

/// A text key, inline if it is short.
#[derive(Debug)]
enum TextKey {
    Short {
        len: u8,
        bytes: [u8; MAX_INLINE_LEN],
    },
    Long(Box<str>),
}

impl From<&str> for TextKey {
    fn from(text: &str) -> Self {
        let mut bytes = [0; MAX_INLINE_LEN];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(start)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl TextKey {
    #[inline]
    fn is(&self, text: &str) -> bool {
        match self {
            Self::Short { len, bytes } => {
                let len = usize::from(*len);
                len == text.len() && bytes.get(..len).is_some_and(|key| are_equal(key, text))
            }
            Self::Long(key) => **key == *text,
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(text) => text.as_bytes(),
        }
    }
}

/// Compares two texts of equal length by their first and last bytes, in chunks that may overlap. For
/// short texts this is faster than calling `memcmp`.
#[inline]
fn are_equal(key: &[u8], text: &str) -> bool {
    fn first_and_last<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((text.first_chunk()?, text.last_chunk()?))
    }
    let text = text.as_bytes();
    match key.len() {
        0..4 => key == text,
        4..8 => first_and_last::<4>(key) == first_and_last(text),
        8..16 => first_and_last::<8>(key) == first_and_last(text),
        16..=32 => first_and_last::<16>(key) == first_and_last(text),
        _ => key == text,
    }
}

/// Hashes like [`Subject::Text`], which is hashed for look-ups.
impl Hash for TextKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

/// The meaning of an entry's word.
pub(super) enum Entry {
    /// The packed state of a bucket.
    Packed(u64),
    /// The index of states in the slab.
    Apart(usize),
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    /// Returns the word of a key, or `None` if the shard does not have the key.
    #[inline]
    pub(super) fn word(&mut self, hash: u64, key: Subject<'_>) -> Option<&mut u64> {
        match key {
            Subject::Number(number) => self.numbers.word(hash, |key| *key == number),
            Subject::Text(text) => self.texts.word(hash, |key| key.is(text)),
        }
    }

    pub(super) fn entry(word: u64) -> Entry {
        match word & APART {
            0 => Entry::Packed(word),
            // The value is an index that was a usize before, so the cast does not truncate.
            _ => Entry::Apart((word & !APART) as usize),
        }
    }

    pub(super) fn states(&mut self, index: usize) -> Option<&mut States> {
        self.states.get_mut(index)
    }

    /// Removes the states that a word stands for. The caller changes them and stores them again with
    /// [`Shard::keep`].
    pub(super) fn take(&mut self, word: u64, base: TimeBase) -> States {
        match Self::entry(word) {
            Entry::Packed(word) => States::One(base.unpack(word)),
            Entry::Apart(index) => self.states.try_remove(index).unwrap_or_default(),
        }
    }

    /// Stores states, packed if possible, and returns the word that stands for them.
    pub(super) fn keep(&mut self, states: States, plans: &[Plan], base: TimeBase) -> u64 {
        if let (States::One(state), [plan]) = (&states, plans)
            && let Some(word) = base.pack(state, plan)
        {
            return word;
        }
        if self.states.capacity() == 0 {
            // Many limits only ever have one key.
            self.states.reserve_exact(1);
        }
        APART | self.states.insert(states) as u64
    }

    pub(super) fn insert(&mut self, hash: u64, key: Subject<'_>, word: u64, hasher: &RandomState) {
        match key {
            Subject::Number(key) => self.numbers.insert(hash, key, word, hasher),
            Subject::Text(text) => self.texts.insert(hash, text.into(), word, hasher),
        }
    }

    pub(super) fn remove(&mut self, hash: u64, key: Subject<'_>) -> bool {
        let removed = match key {
            Subject::Number(number) => self.numbers.remove(hash, |key| *key == number),
            Subject::Text(text) => self.texts.remove(hash, |key| key.is(text)),
        };
        removed.inspect(|word| self.drop_states(*word)).is_some()
    }

    /// Checks the next `budget` buckets of the hash tables and removes keys whose state equals that of
    /// an unused key. Subtracts the checked buckets from `budget` and returns the number of removed
    /// keys.
    pub(super) fn sweep(
        &mut self,
        base: TimeBase,
        longest: u64,
        now: u64,
        budget: &mut usize,
    ) -> usize {
        let Self {
            numbers,
            texts,
            states,
        } = self;
        let mut is_idle = |word| match Self::entry(word) {
            Entry::Packed(word) => base.is_idle(word, now),
            Entry::Apart(index) => {
                let idle = states
                    .get(index)
                    .is_none_or(|states| states.is_idle(longest, now));
                if idle {
                    states.try_remove(index);
                }
                idle
            }
        };
        // The maps share one budget, because one of them is nearly always empty.
        numbers.sweep(budget, &mut is_idle) + texts.sweep(budget, &mut is_idle)
    }

    /// Moves every key into the shard whose index in `shards` is what `shard_of` returns for its hash.
    pub(super) fn split(
        self,
        shards: &mut [Self],
        shard_of: fn(u64) -> usize,
        hasher: &RandomState,
    ) {
        let Self {
            numbers,
            texts,
            mut states,
        } = self;
        for MapEntry { key, word } in numbers.into_entries() {
            let hash = hasher.hash_one(Subject::Number(key));
            let shard = &mut shards[shard_of(hash)];
            let word = Self::moved(&mut states, word, &mut shard.states);
            shard.insert(hash, Subject::Number(key), word, hasher);
        }
        for entry in texts.into_entries() {
            let hash = hasher.hash_one(&entry.key);
            let shard = &mut shards[shard_of(hash)];
            let word = Self::moved(&mut states, entry.word, &mut shard.states);
            shard.texts.insert(hash, entry.key, word, hasher);
        }
    }

    /// Moves the states of a word between slabs, and returns the word that stands for them then.
    fn moved(from: &mut Slab<States>, word: u64, to: &mut Slab<States>) -> u64 {
        match Self::entry(word) {
            Entry::Packed(word) => word,
            Entry::Apart(index) => {
                APART | to.insert(from.try_remove(index).unwrap_or_default()) as u64
            }
        }
    }

    fn drop_states(&mut self, word: u64) {
        if let Entry::Apart(index) = Self::entry(word) {
            self.states.try_remove(index);
        }
    }
}

impl<K> Map<K> {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many { entries, .. } => entries.len(),
        }
    }

    fn insert(&mut self, hash: u64, key: K, word: u64, hasher: &RandomState)
    where
        K: Hash,
    {
        let entry = MapEntry { key, word };
        let rehash = |entry: &MapEntry<K>| hasher.hash_one(&entry.key);
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(entry),
            Self::One(first) => {
                let mut entries = HashTable::with_capacity(2);
                entries.insert_unique(rehash(&first), first, rehash);
                entries.insert_unique(hash, entry, rehash);
                Self::Many {
                    entries,
                    sweep_cursor: 0,
                }
            }
            Self::Many {
                mut entries,
                sweep_cursor,
            } => {
                entries.insert_unique(hash, entry, rehash);
                Self::Many {
                    entries,
                    sweep_cursor,
                }
            }
        };
    }

    #[inline]
    fn word(&mut self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&mut u64> {
        let entry = match self {
            Self::Many { entries, .. } => entries.find_mut(hash, |entry| is_key(&entry.key)),
            Self::One(entry) => Some(entry).filter(|entry| is_key(&entry.key)),
            Self::Empty => None,
        };
        entry.map(|entry| &mut entry.word)
    }

    fn remove(&mut self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::One(entry) => {
                let word = is_key(&entry.key).then_some(entry.word)?;
                *self = Self::Empty;
                Some(word)
            }
            Self::Many { entries, .. } => {
                let found = entries.find_entry(hash, |entry| is_key(&entry.key));
                found.ok().map(|entry| entry.remove().0.word)
            }
        }
    }

    fn into_entries(self) -> impl Iterator<Item = MapEntry<K>> {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(entry) => (Some(entry), None),
            Self::Many { entries, .. } => (None, Some(entries)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn sweep(&mut self, budget: &mut usize, is_idle: &mut impl FnMut(u64) -> bool) -> usize {
        let places = match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many { entries, .. } => entries.num_buckets(),
        };
        let steps = places.min(*budget);
        *budget -= steps;
        let mut forgotten = 0;
        match self {
            Self::One(entry) if steps > 0 && is_idle(entry.word) => {
                *self = Self::Empty;
                forgotten = 1;
            }
            Self::Many {
                entries,
                sweep_cursor,
            } => {
                for _ in 0..steps {
                    *sweep_cursor = (*sweep_cursor + 1) % places;
                    if let Ok(entry) = entries.get_bucket_entry(*sweep_cursor)
                        && is_idle(entry.get().word)
                    {
                        entry.remove();
                        forgotten += 1;
                    }
                }
            }
            Self::Empty | Self::One(_) => {}
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_small() {
        assert_eq!(size_of::<MapEntry<u64>>(), 16);
        assert_eq!(size_of::<MapEntry<TextKey>>(), 32);
        assert_eq!(size_of::<Map<TextKey>>(), 48);
    }

    #[test]
    fn texts_are_equal_when_all_bytes_are() {
        for len in 0..40 {
            let text = "x".repeat(len);
            let key = TextKey::from(&*text);
            assert!(key.is(&text));
            assert!(!key.is(&"x".repeat(len + 1)));
            for at in 0..len {
                let mut other = text.clone();
                other.replace_range(at..=at, "y");
                assert!(!key.is(&other), "{other}");
                assert!(!TextKey::from(&*other).is(&text), "{other}");
            }
        }
    }

    #[test]
    fn texts_of_every_length_come_back_as_they_were() {
        for len in [0, 1, 21, 22, 23, 255, 256, 10_000] {
            let text = "x".repeat(len);
            assert_eq!(TextKey::from(&*text).as_bytes(), text.as_bytes());
        }
    }
}
