//! The counts of one limit for the dashboard.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::outcome::Outcome;
use crate::key::digest::beginning;
use crate::key::subject::Subject;

/// Whether denied keys are counted. Off by default, because keys may be personal data.
static KEEP_KEYS: AtomicBool = AtomicBool::new(false);

/// The most denied keys that are counted per limit.
const MAX_KEYS: usize = 64;

/// The most bytes that are kept of a denied key, more than are shown: a client may send a key of a megabyte. Keys with
/// an equal beginning count as one.
const MAX_KEY_LEN: usize = 1_024;

/// Starts counting denied keys.
pub(crate) fn keep_keys() {
    KEEP_KEYS.store(true, Ordering::Relaxed);
}

/// Decisions since the limit was first used.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    admitted: AtomicU64,
    denied: AtomicU64,
    shadow_denied: AtomicU64,
    failed: AtomicU64,
    /// The keys denied most often with their counts, by the Space-Saving algorithm (Metwally, Agrawal
    /// and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005):
    /// a new key replaces the key with the lowest count and continues from this count.
    keys: OnceLock<Box<DeniedKeys>>,
}

/// The kept keys with their counts.
type DeniedKeys = Mutex<Vec<(Box<str>, u64)>>;

/// A snapshot of the counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) admitted: u64,
    pub(crate) denied: u64,
    pub(crate) shadow_denied: u64,
    pub(crate) failed: u64,
}

impl Counts {
    #[inline]
    pub(super) fn count(&self, key: Option<&Subject<'_>>, outcome: Outcome<'_>) {
        let counter = match outcome {
            Outcome::Admitted => &self.admitted,
            Outcome::Denied => &self.denied,
            #[cfg(feature = "tower")]
            Outcome::ShadowDenied => &self.shadow_denied,
            Outcome::Failed(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(key) = key
            && !matches!(outcome, Outcome::Admitted | Outcome::Failed(_))
            && KEEP_KEYS.load(Ordering::Relaxed)
        {
            key.with_text(|key| self.keep(beginning(key, MAX_KEY_LEN)));
        }
    }

    fn keep(&self, key: &str) {
        let keys = self.keys.get_or_init(Box::default);
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = keys.iter_mut().find(|(kept, _)| **kept == *key) {
            *count += 1;
        } else if keys.len() < MAX_KEYS {
            keys.push((key.into(), 1));
        } else if let Some(rarest) = keys.iter_mut().min_by_key(|(_, count)| *count) {
            *rarest = (key.into(), rarest.1 + 1);
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            admitted: self.admitted.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            shadow_denied: self.shadow_denied.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Returns the `most` keys denied most often, each with an upper bound of its count.
    pub(crate) fn denied_keys(&self, most: usize) -> Vec<(Box<str>, u64)> {
        let Some(keys) = self.keys.get() else {
            return Vec::new();
        };
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        keys.truncate(most);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_denied_most_often_survive_any_number_of_others() {
        let counts = Counts::default();
        for other in 0..10_000 {
            counts.keep(&format!("other-{other}"));
            if other % 10 == 0 {
                counts.keep("often");
            }
        }
        let keys = counts.denied_keys(1);
        assert_eq!(&*keys[0].0, "often");
        assert!(keys[0].1 >= 1_000);
        assert_eq!(counts.denied_keys(usize::MAX).len(), MAX_KEYS);
    }
}
