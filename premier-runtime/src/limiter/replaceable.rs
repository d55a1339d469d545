//! A value that is replaced now and then and read all the time.
//!
//! Readers keep what they read for as long as they like, so nothing is freed before the whole is: a
//! value costs its memory once for each replacement. That is what makes reading two loads, without
//! a lock and without a count.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Debug)]
pub(crate) struct Replaceable<T> {
    first: T,
    /// Which value is in force: 0 is the first.
    current: AtomicUsize,
    later: OnceLock<Box<Later<T>>>,
}

#[derive(Debug)]
struct Later<T> {
    /// The nth block has 2^n places: number 1 is in the first, 2 and 3 in the second.
    blocks: [OnceLock<Box<[OnceLock<T>]>>; usize::BITS as usize],
    writing: Mutex<()>,
}

impl<T> Replaceable<T> {
    pub(crate) const fn new(first: T) -> Self {
        Self {
            first,
            current: AtomicUsize::new(0),
            later: OnceLock::new(),
        }
    }

    /// The value in force.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        match self.current.load(Ordering::Acquire) {
            0 => &self.first,
            number => self.numbered(number).unwrap_or(&self.first),
        }
    }

    /// The value before any replacement.
    pub(crate) const fn first(&self) -> &T {
        &self.first
    }

    pub(crate) fn replace(&self, value: T) {
        let later = self.later.get_or_init(|| {
            Box::new(Later {
                blocks: std::array::from_fn(|_| OnceLock::new()),
                writing: Mutex::new(()),
            })
        });
        let _writing = later.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.current.load(Ordering::Relaxed) + 1;
        let (block, place) = place(number);
        let block = later.blocks[block]
            .get_or_init(|| (0..1_usize << block).map(|_| OnceLock::new()).collect());
        let _ = block[place].set(value);
        self.current.store(number, Ordering::Release);
    }

    #[cold]
    fn numbered(&self, number: usize) -> Option<&T> {
        let (block, place) = place(number);
        self.later.get()?.blocks[block].get()?[place].get()
    }
}

fn place(number: usize) -> (usize, usize) {
    let block = number.ilog2();
    (block as usize, number - (1 << block))
}

#[cfg(test)]
mod tests {
    use super::Replaceable;

    #[test]
    fn the_last_value_is_in_force_and_earlier_ones_stay() {
        let value = Replaceable::new(0);
        let mut seen = vec![value.get()];
        for number in 1..100 {
            value.replace(number);
            seen.push(value.get());
        }
        assert_eq!(
            seen,
            (0..100).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
        assert_eq!(*value.first(), 0);
    }

    #[test]
    fn readers_and_writers_meet_without_a_lock() {
        let value = Replaceable::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..100 {
                        value.replace(number);
                        assert!(*value.get() < 100);
                    }
                });
            }
        });
        assert_eq!(*value.get(), 99);
    }
}
