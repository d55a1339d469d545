//! Who waits behind whom.
//!
//! Callers that wait for one key stand in a line, first come first served. In a line for admission
//! only the head sleeps on the clock; the others sleep until they are the head. Whoever has a slot
//! sleeps until it begins. Leaving, for whatever reason, is dropping the [`Ticket`]: it wakes the
//! next.
//!
//! One lock holds all lines. Nothing comes here unless it waits, and the lock is held for a few
//! moves in a queue. Wakers are woken and dropped without it: both run code of the executor.

mod slots;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use crate::algorithms::Plan;
use crate::clock;
use crate::clock::SteadyClock;
use crate::limit::decision::Reservation;

/// What a line is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Purpose {
    /// To be admitted.
    Admission,
    /// For the value that somebody computes.
    #[cfg(feature = "cache")]
    Flight(std::any::TypeId),
    /// To run.
    Permit,
    /// For the reserved slots of a leaky bucket with this emission interval, as a fraction.
    Slot(u64, u64),
}

/// Names a line: store, purpose, prefix and the caller's key.
pub(crate) type LineKey = Arc<(usize, Purpose, Box<str>, Option<Box<str>>)>;

#[derive(Debug)]
struct Waiter {
    id: u64,
    cost: u64,
    waker: Option<Waker>,
    /// When to ask again, or when the slot begins. Zero: at once.
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

/// Counts the nudges. Whoever was denied before one and joins a line after it would otherwise
/// never hear of it.
static NUDGES: AtomicU64 = AtomicU64::new(0);

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
    /// It is this one's turn, at this time.
    Turn(u64),
    Behind,
}

/// The line before one who joins it, or stands in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// When the head asks again.
    pub(crate) head_at: u64,
    /// What the head takes.
    pub(crate) head: u64,
    /// What all others ahead take.
    pub(crate) others: u64,
}

impl Ahead {
    fn of<'a>(mut line: impl Iterator<Item = &'a Waiter>) -> Option<Self> {
        let head = line.next()?;
        Some(Self {
            head_at: head.at,
            head: head.cost,
            others: line.fold(0, |sum, waiter| waiter.cost.saturating_add(sum)),
        })
    }
}

/// Whether anyone waits for anything.
pub(crate) fn any() -> bool {
    OCCUPIED.load(Ordering::SeqCst) > 0
}

/// Who is ahead, if anyone waits.
pub(crate) fn ahead(key: &LineKey) -> Option<Ahead> {
    Ahead::of(lines().by_key.get(key)?.iter())
}

/// To be read before asking a store, and given to the line that a denial leads to.
pub(crate) fn nudges() -> u64 {
    NUDGES.load(Ordering::SeqCst)
}

/// Lets the heads of the lines for this prefix and user ask again now: something was given back.
pub(crate) fn nudge(store: usize, prefix: &str, user: Option<&str>) {
    nudge_where(|key| key.0 == store && *key.2 == *prefix && key.3.as_deref() == user);
}

/// Wakes the head of a line, to look again.
pub(crate) fn wake_head(key: &LineKey) {
    let waker = lines()
        .by_key
        .get_mut(key)
        .and_then(|line| line.front_mut()?.waker.take());
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Lets every head ask again now.
pub(crate) fn nudge_all() {
    nudge_where(|_| true);
}

fn nudge_where(matches: impl Fn(&LineKey) -> bool) {
    // Counted before looking: who joins reads the count after having made the line visible, so
    // that one of the two sees the other.
    NUDGES.fetch_add(1, Ordering::SeqCst);
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
    /// Joins the line of those who are to be admitted, behind all others. `at` is when to ask
    /// again, as known after so many `nudges`.
    pub(crate) fn wait(key: LineKey, cost: u64, at: u64, nudges: u64) -> Self {
        let ticket = Self::join(key, cost, at, Reservation::NONE);
        if self::nudges() != nudges {
            ticket.ask_at(0, nudges);
        }
        ticket
    }

    /// Joins the line of those who have a slot that begins `at`.
    pub(crate) fn hold(key: LineKey, cost: u64, at: u64, slot: Reservation) -> Self {
        Self::join(key, cost, at, slot)
    }

    fn join(key: LineKey, cost: u64, at: u64, slot: Reservation) -> Self {
        let mut lines = lines();
        lines.last_id += 1;
        let id = lines.last_id;
        let line = lines.by_key.entry(Arc::clone(&key)).or_insert_with(|| {
            OCCUPIED.fetch_add(1, Ordering::SeqCst);
            VecDeque::new()
        });
        let place = match key.1 {
            Purpose::Slot(..) => line.partition_point(|waiter| waiter.at <= at),
            _ => line.len(),
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
        let waker = waker.clone();
        let mut lines = lines();
        let Some((place, waiter)) = self.find(&mut lines) else {
            return Standing::Turn(0);
        };
        let old = waiter.waker.replace(waker);
        let standing = match (self.key.1, place) {
            // A slot is one's own, whoever may not have used an earlier one yet.
            (Purpose::Slot(..), _) | (_, 0) => Standing::Turn(waiter.at),
            _ => Standing::Behind,
        };
        drop(lines);
        drop(old);
        standing
    }

    /// Who is ahead of this ticket.
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        let lines = lines();
        let line = lines.by_key.get(&self.key)?;
        Ahead::of(line.iter().take_while(|waiter| waiter.id != self.id))
    }

    /// Sets when to ask again, as known after so many `nudges`.
    pub(crate) fn ask_at(&self, at: u64, nudges: u64) {
        if let Some((_, waiter)) = self.find(&mut lines()) {
            waiter.at = if self::nudges() == nudges { at } else { 0 };
        }
    }

    /// Leaves without having used the slot. Those behind move up; what is left over at the end is
    /// returned, to be given back. The ticket keeps its place until it is dropped.
    pub(crate) fn abandon(&self, plans: &[Plan]) -> Option<(Reservation, u64)> {
        let mut lines = lines();
        let line = lines.by_key.get_mut(&self.key)?;
        let place = line.iter().position(|waiter| waiter.id == self.id)?;
        let (left, wakers) = slots::move_up(line.make_contiguous(), place, plans);
        drop(lines);
        wakers.into_iter().for_each(Waker::wake);
        Some(left)
    }

    /// Stands in line until it is this one's turn and `ready` gives something, on the thread;
    /// `None` when the deadline comes first.
    pub(crate) fn turn<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let waker = clock::waker_of_this_thread();
        loop {
            match self.look(&waker, clock, deadline, &mut ready) {
                Poll::Ready(done) => return done,
                Poll::Pending => clock.park_until(deadline),
            }
        }
    }

    /// The same, awaiting.
    pub(crate) async fn turn_async<T>(
        &self,
        clock: &SteadyClock,
        deadline: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut sleep = clock.sleep_until(deadline);
        poll_fn(
            |context| match self.look(context.waker(), clock, deadline, &mut ready) {
                Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
                done => done,
            },
        )
        .await
    }

    fn look<T>(
        &self,
        waker: &Waker,
        clock: &SteadyClock,
        deadline: u64,
        ready: &mut impl FnMut() -> Option<T>,
    ) -> Poll<Option<T>> {
        // Registered before looking, so that what happens in between wakes.
        if matches!(self.standing(waker), Standing::Turn(_))
            && let Some(done) = ready()
        {
            return Poll::Ready(Some(done));
        }
        if clock.now() >= deadline {
            return Poll::Ready(None);
        }
        Poll::Pending
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
        let gone = line
            .iter()
            .position(|waiter| waiter.id == self.id)
            .and_then(|place| line.remove(place));
        let next = line.front_mut().and_then(|head| head.waker.take());
        if line.is_empty() {
            lines.by_key.remove(&self.key);
            OCCUPIED.fetch_sub(1, Ordering::SeqCst);
        }
        drop(lines);
        drop(gone);
        if let Some(next) = next {
            next.wake();
        }
    }
}
