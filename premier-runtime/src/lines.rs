//! Who waits behind whom.
//!
//! Callers that wait for one key stand in a line, first come first served. Only the head sleeps on
//! the clock; the others sleep until they are the head. Leaving, for whatever reason, is dropping
//! the [`Ticket`]: it wakes the next.
//!
//! One lock holds all lines. Nothing comes here unless it waits, and the lock is held for a few
//! moves in a queue.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::decision::Reservation;

/// What a line is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Purpose {
    /// To be admitted.
    Admission,
    /// For the reserved slots of a leaky bucket.
    Slot,
}

/// Names a line: store, purpose, prefix and the caller's key.
pub(crate) type LineKey = Arc<(usize, Purpose, Box<str>, Option<Box<str>>)>;

#[derive(Debug)]
struct Waiter {
    id: u64,
    cost: u64,
    waker: Option<Waker>,
    /// When to ask again, or when the slot begins. Zero: not known yet.
    at: u64,
    slot: Reservation,
}

#[derive(Debug, Default)]
struct Lines {
    by_key: HashMap<LineKey, VecDeque<Waiter>>,
    last_id: u64,
}

/// So that callers who find nobody waiting do not take the lock.
static OCCUPIED: AtomicUsize = AtomicUsize::new(0);

fn lines() -> MutexGuard<'static, Lines> {
    static LINES: OnceLock<Mutex<Lines>> = OnceLock::new();
    LINES
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// A place in a line.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: LineKey,
    id: u64,
}

/// How a place in a line stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// First, with the time until which to sleep.
    Head(u64),
    Behind,
}

/// The line before one would join it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// When the head asks again.
    pub(crate) head_at: u64,
    /// What the head takes.
    pub(crate) head: u64,
    /// What all others of the line take.
    pub(crate) others: u64,
}

/// Whether anyone waits for anything.
pub(crate) fn any() -> bool {
    OCCUPIED.load(Ordering::Acquire) > 0
}

/// Who is ahead, if anyone waits.
pub(crate) fn ahead(key: &LineKey) -> Option<Ahead> {
    let lines = lines();
    let line = lines.by_key.get(key)?;
    let head = line.front()?;
    let others = line
        .iter()
        .skip(1)
        .fold(0, |sum: u64, waiter| sum.saturating_add(waiter.cost));
    Some(Ahead {
        head_at: head.at,
        head: head.cost,
        others,
    })
}

/// Lets the heads of the lines for this prefix and user ask again now: something was given back.
pub(crate) fn nudge(store: usize, prefix: &str, user: Option<&str>) {
    nudge_where(|key| key.0 == store && *key.2 == *prefix && key.3.as_deref() == user);
}

/// Lets every head ask again now.
pub(crate) fn nudge_all() {
    nudge_where(|_| true);
}

fn nudge_where(matches: impl Fn(&LineKey) -> bool) {
    if !any() {
        return;
    }
    let wakers: Vec<Waker> = lines()
        .by_key
        .iter_mut()
        .filter(|(key, _)| key.1 == Purpose::Admission && matches(key))
        .filter_map(|(_, line)| {
            let head = line.front_mut()?;
            head.at = 0;
            head.waker.take()
        })
        .collect();
    wakers.into_iter().for_each(Waker::wake);
}

impl Ticket {
    /// Joins a line: slots stand in the order of their times, all else in the order of coming.
    pub(crate) fn join(key: LineKey, cost: u64, at: u64, slot: Reservation) -> Self {
        let mut lines = lines();
        lines.last_id += 1;
        let id = lines.last_id;
        let line = lines.by_key.entry(Arc::clone(&key)).or_insert_with(|| {
            OCCUPIED.fetch_add(1, Ordering::Release);
            VecDeque::new()
        });
        let place = match key.1 {
            Purpose::Admission => line.len(),
            Purpose::Slot => line.partition_point(|waiter| waiter.at <= at),
        };
        line.insert(
            place,
            Waiter {
                id,
                cost,
                waker: None,
                at,
                slot,
            },
        );
        Self { key, id }
    }

    /// Where this ticket stands; `waker` is woken when that changes.
    pub(crate) fn standing(&self, waker: &Waker) -> Standing {
        let mut lines = lines();
        let Some((place, waiter)) = self.find(&mut lines) else {
            return Standing::Head(0);
        };
        match &mut waiter.waker {
            Some(old) => old.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
        if place == 0 {
            Standing::Head(waiter.at)
        } else {
            Standing::Behind
        }
    }

    /// Sets when to ask again.
    pub(crate) fn ask_at(&self, at: u64) {
        if let Some((_, waiter)) = self.find(&mut lines()) {
            waiter.at = at;
        }
    }

    /// Leaves without having used the slot. Those behind move up by one slot, so that the one
    /// left over is the last of the line; it is returned to be given back. Slots of different
    /// lengths cannot be exchanged: then only a last one is returned.
    pub(crate) fn abandon(self) -> Option<(Reservation, u64)> {
        let mut lines = lines();
        let line = lines.by_key.get_mut(&self.key)?;
        let place = line.iter().position(|waiter| waiter.id == self.id)?;
        let cost = line[place].cost;
        if line.iter().skip(place).any(|waiter| waiter.cost != cost) {
            return None;
        }
        // Read before those behind move up.
        let last = line.back()?.slot;
        for index in (place + 1..line.len()).rev() {
            (line[index].at, line[index].slot) = (line[index - 1].at, line[index - 1].slot);
        }
        Some((last, cost))
    }

    fn find<'a>(&self, lines: &'a mut Lines) -> Option<(usize, &'a mut Waiter)> {
        lines
            .by_key
            .get_mut(&self.key)?
            .iter_mut()
            .enumerate()
            .find(|(_, waiter)| waiter.id == self.id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut lines = lines();
        let Some(line) = lines.by_key.get_mut(&self.key) else {
            return;
        };
        if let Some(place) = line.iter().position(|waiter| waiter.id == self.id) {
            line.remove(place);
        }
        let next = line.front_mut().and_then(|head| head.waker.take());
        if line.is_empty() {
            lines.by_key.remove(&self.key);
            OCCUPIED.fetch_sub(1, Ordering::Release);
        }
        drop(lines);
        if let Some(next) = next {
            next.wake();
        }
    }
}
