//! A sliding window of buckets: how often something happened within a time, counted without a lock.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering, reload};

/// How many buckets a window has.
const BUCKETS: u64 = 10;

/// How many tenths late an event may be recorded. Tags repeat after 2^32 tenths, so a later one cannot be placed.
const LATEST: u32 = 1 << 16;

/// Counts events of the last ten buckets. A bucket is a word: the number of its tenth of the time, modulo 2^32,
/// above the number of events in it, up to 2^32 - 1.
#[derive(Debug)]
pub(super) struct Window([AtomicU64; BUCKETS as usize]);

/// How long a bucket of a window is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketLength(u64);

/// The number of a tenth of the time of a window, since the origin of the clock. A window counts the current tenth
/// and the nine before, so an event counts for nine to ten tenths of the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenth(pub(super) u64);

impl BucketLength {
    /// The length of the buckets of a window of the time `within`.
    pub(super) fn of(within: Duration) -> Self {
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        Self(within.div_ceil(BUCKETS).max(1))
    }

    /// Returns the tenth that contains the instant `now`.
    #[inline]
    pub(super) const fn tenth_at(self, now: u64) -> Tenth {
        Tenth(now / self.0)
    }
}

impl Tenth {
    /// Returns the low 32 bits, which repeat after 2^32 tenths.
    const fn tag(self) -> u32 {
        self.0 as u32
    }
}

const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const fn pack(tag: u32, count: u32) -> u64 {
    (tag as u64) << 32 | count as u64
}

impl Default for Window {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Window {
    /// Counts an event of a tenth. An event that is recorded when its tenth counts no longer is not counted.
    pub(super) fn add(&self, tenth: Tenth) {
        self.add_all(tenth, 1);
    }

    /// Counts events of a tenth.
    pub(super) fn add_all(&self, tenth: Tenth, events: u64) {
        if events == 0 {
            return;
        }
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let bucket = &self.0[(tenth.0 % BUCKETS) as usize];
        let mut word = bucket.load(Ordering::Relaxed);
        loop {
            let (tag, count) = unpack(word);
            let next = if tag == tenth.tag() {
                pack(tag, count.saturating_add(events))
            } else if count > 0 && tag.wrapping_sub(tenth.tag()) < LATEST {
                // The bucket is that of a later tenth.
                return;
            } else {
                pack(tenth.tag(), events)
            };
            let swapped = bucket.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return,
                Err(_) => word = reload(bucket, Ordering::Relaxed),
            }
        }
    }

    /// Returns the number of events that count in a tenth.
    pub(super) fn count(&self, tenth: Tenth) -> u64 {
        self.0
            .iter()
            .map(|bucket| unpack(bucket.load(Ordering::Relaxed)))
            .filter(|(tag, _)| u64::from(tenth.tag().wrapping_sub(*tag)) < BUCKETS)
            .map(|(_, count)| u64::from(count))
            .sum()
    }

    /// Removes all events.
    pub(super) fn clear(&self) {
        for bucket in &self.0 {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_nanos(1_000);

    fn at(now: u64) -> Tenth {
        BucketLength::of(WITHIN).tenth_at(now)
    }

    #[test]
    fn an_event_counts_for_nine_to_ten_tenths_of_the_time() {
        let window = Window::default();
        window.add(at(5_000));
        window.add(at(5_099));
        assert_eq!(window.count(at(5_000)), 2);
        assert_eq!(window.count(at(5_999)), 2);
        assert_eq!(window.count(at(6_000)), 0);
    }

    #[test]
    fn the_buckets_of_earlier_tenths_are_used_again() {
        let window = Window::default();
        for now in (0..100_000).step_by(10) {
            window.add(at(now));
        }
        assert_eq!(window.count(at(99_999)), 100);
    }

    #[test]
    fn an_event_that_is_recorded_too_late_is_not_counted() {
        let window = Window::default();
        window.add(at(2_000));
        window.add(at(1_000));
        assert_eq!(window.count(at(2_000)), 1);
        window.add(at(1_900));
        assert_eq!(window.count(at(2_000)), 2, "a moment late is not too late");
    }

    #[test]
    fn a_full_bucket_stays_full() {
        let window = Window::default();
        window.0[0].store(pack(0, u32::MAX), Ordering::Relaxed);
        window.add(at(0));
        assert_eq!(window.count(at(0)), u64::from(u32::MAX));
    }

    #[test]
    fn no_event_of_several_threads_is_lost() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for now in 0..1_000 {
                        window.add(at(now));
                    }
                });
            }
        });
        assert_eq!(window.count(at(999)), 4_000);
    }
}
