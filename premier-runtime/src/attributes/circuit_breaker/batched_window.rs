//! A window that reads the clock once for many events, because reading it takes longer than all the rest of a
//! successful call (of a breaker without keys: 25 ns with a reading for each call, 5 ns with this window).

use super::window::{BucketLength, Tenth, Window};
use crate::sync::{AtomicU64, Ordering};

/// The most events for which the clock is read once.
const MAX_BATCH: u64 = 64;

/// A batch is smaller than the number of events in the window by at least this factor.
const EVENTS_PER_BATCH: u64 = 256;

/// Counts events, some of which are not in the window yet. They are taken to have happened when the clock was last
/// read. While fewer than 512 events are in the window, it is read for each; with more, for at most 64 together,
/// which are less than a 256th of those in the window, so that they happen within a 256th of its time while the rate
/// lasts. When events become rare at once, those of the last batch may be placed too early.
#[derive(Debug)]
pub(super) struct BatchedWindow {
    window: Window,
    /// Events that are not in the window yet.
    unplaced: AtomicU64,
    /// How many events are placed together.
    batch: AtomicU64,
    /// The tenth in which the clock was last read.
    last: AtomicU64,
}

impl Default for BatchedWindow {
    fn default() -> Self {
        Self {
            window: Window::default(),
            unplaced: AtomicU64::new(0),
            batch: AtomicU64::new(1),
            last: AtomicU64::new(0),
        }
    }
}

impl BatchedWindow {
    /// Counts an event that happens now.
    #[inline]
    pub(super) fn add_now(&self, length: BucketLength, now: impl FnOnce() -> u64) {
        let unplaced = self.unplaced.fetch_add(1, Ordering::Relaxed) + 1;
        if unplaced >= self.batch.load(Ordering::Relaxed) {
            self.place_last(length.tenth_at(now()));
        }
    }

    /// Counts an event of a tenth.
    pub(super) fn add(&self, tenth: Tenth) {
        self.window.add(tenth);
    }

    /// Places all events, of which the last happens in this tenth.
    #[inline(never)]
    fn place_last(&self, tenth: Tenth) {
        let unplaced = self.unplaced.swap(0, Ordering::Relaxed);
        // At zero, another thread has placed the event of this one.
        if let Some(others) = unplaced.checked_sub(1) {
            self.place(others, tenth);
            self.window.add(tenth);
            self.set_batch(self.window.count(tenth));
        }
    }

    /// Places events whose time is not known, in this tenth at the latest.
    fn place(&self, events: u64, tenth: Tenth) {
        let last = self.last.fetch_max(tenth.0, Ordering::Relaxed);
        // Where the clock is read for each event, others are those of threads that read it at this moment.
        let is_each = self.batch.load(Ordering::Relaxed) == 1;
        let placed = if is_each { tenth } else { Tenth(last) };
        self.window.add_all(placed, events);
    }

    /// Returns the number of events that count in a tenth, which is the present one.
    pub(super) fn count(&self, tenth: Tenth) -> u64 {
        let unplaced = self.unplaced.swap(0, Ordering::Relaxed);
        self.place(unplaced, tenth);
        let count = self.window.count(tenth);
        self.set_batch(count);
        count
    }

    fn set_batch(&self, count: u64) {
        let batch = (count / EVENTS_PER_BATCH).clamp(1, MAX_BATCH);
        if self.batch.load(Ordering::Relaxed) != batch {
            self.batch.store(batch, Ordering::Relaxed);
        }
    }

    /// Removes all events.
    pub(super) fn clear(&self) {
        self.unplaced.store(0, Ordering::Relaxed);
        self.batch.store(1, Ordering::Relaxed);
        self.window.clear();
    }

    /// A window that places as many events together, for tests.
    #[cfg(all(test, premier_loom))]
    pub(super) fn with_batch(batch: u64) -> Self {
        Self {
            batch: AtomicU64::new(batch),
            ..Self::default()
        }
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn length() -> BucketLength {
        BucketLength::of(Duration::from_secs(10))
    }

    fn at(second: u64) -> Tenth {
        length().tenth_at(second * SECOND)
    }

    /// Counts events and returns how often the clock was read for them.
    fn add(window: &BatchedWindow, events: u64, second: u64) -> u64 {
        let readings = Cell::new(0);
        for _ in 0..events {
            window.add_now(length(), || {
                readings.set(readings.get() + 1);
                second * SECOND
            });
        }
        readings.get()
    }

    #[test]
    fn the_clock_is_read_for_each_of_few_events_and_once_for_64_of_many() {
        let window = BatchedWindow::default();
        assert_eq!(add(&window, 512, 100), 512);
        add(&window, 20_000, 100);
        assert_eq!(add(&window, 6_400, 100), 100);
        assert_eq!(window.count(at(100)), 26_912);
    }

    #[test]
    fn events_count_from_the_time_at_which_they_happened_up_to_a_batch() {
        let window = BatchedWindow::default();
        add(&window, 10_000, 100);
        add(&window, 10_000, 105);
        let counted = window.count(at(110));
        assert!(counted.abs_diff(10_000) < MAX_BATCH, "{counted}");
        assert_eq!(window.count(at(115)), 0);
    }

    #[test]
    fn events_of_a_burst_do_not_count_with_those_long_after_it() {
        let window = BatchedWindow::default();
        add(&window, 20_000 + 17, 100);
        assert_eq!(window.count(at(200)), 0);
        add(&window, 20_000 + 17, 300);
        add(&window, MAX_BATCH, 400);
        add(&window, 10, 400);
        let counted = window.count(at(400));
        assert!((10..=10 + MAX_BATCH).contains(&counted), "{counted}");
    }
}
