//! The states behind one key prefix: one cell without a key, a sharded map with.
//!
//! A shard is locked for the few nanoseconds of a decision and never across anything else. Keys
//! are found by the hash of borrowed bytes; a new one costs its only allocation.

use std::hash::BuildHasher;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ahash::RandomState;
use hashbrown::HashTable;

use super::Shared;
use super::keyless::{Bucket, Keyless};
use crate::algorithms::{Plan, State};
use crate::handler::{Operation, Request};
use crate::{Decision, Error};

const SHARDS: usize = 32;
/// How many places of its shard a new key looks at for others to forget. More than one, so that
/// the sweep outruns the growth.
const STEP: usize = 8;
/// How long a key has been idle before a new one takes its place, in nanoseconds: those who call
/// now and then are not made anew each time. At the bound there is no such grace.
const GRACE: u64 = 1_000_000_000;
/// How many places are looked at for a new key at the bound.
pub(super) const STEP_AT_THE_BOUND: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Table {
    keyless: Arc<Keyless>,
    keyed: OnceLock<Keyed>,
    /// The longest period of the limits that decide by these states: throttles of one name may
    /// have different limits, and a key is idle only when it is so under each.
    longest: AtomicU64,
}

#[derive(Debug)]
struct Keyed {
    // Keyed by a secret per table: clients choose keys, and must not choose collisions.
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    next_shard: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashTable<Entry>,
    /// Where the next sweep goes on.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    key: Box<str>,
    states: States,
}

/// One state for each limit; nearly always there is one.
#[derive(Debug)]
pub(super) enum States {
    One(State),
    Many(Box<[State]>),
}

impl Default for States {
    fn default() -> Self {
        Self::One(State::default())
    }
}

impl States {
    fn new(count: usize) -> Self {
        match count {
            1 => Self::default(),
            count => Self::Many(vec![State::default(); count].into()),
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [State] {
        match self {
            Self::One(state) => slice::from_mut(state),
            Self::Many(states) => states,
        }
    }

    /// The states for this many limits; those of limits that stay are kept.
    pub(super) fn sized(&mut self, count: usize) -> &mut [State] {
        if self.as_mut_slice().len() < count {
            let mut states = self.as_mut_slice().to_vec();
            states.resize(count, State::default());
            *self = Self::Many(states.into());
        }
        &mut self.as_mut_slice()[..count]
    }

    /// See [`State::admit`].
    #[inline]
    pub(super) fn admit(&mut self, plan: &Plan, now: u64, cost: u64) -> bool {
        match self {
            Self::One(state) => state.admit(plan, now, cost),
            Self::Many(_) => false,
        }
    }

    fn is_idle(&self, longest: u64, now: u64) -> bool {
        let states = match self {
            Self::One(state) => slice::from_ref(state),
            Self::Many(states) => states,
        };
        states.iter().all(|state| state.is_idle(longest, now))
    }
}

impl Table {
    /// Names limits that will decide by these states.
    pub(super) fn register(&self, plans: &[Plan]) {
        let longest = plans.iter().map(Plan::period).max().unwrap_or_default();
        self.longest.fetch_max(longest, Ordering::Relaxed);
    }

    /// The word of a limit without a key, where its state fits one.
    pub(super) fn bucket(&self, plan: &Plan, now: u64) -> Option<Bucket> {
        self.keyless.bucket(plan, now)
    }

    /// See [`State::admit`]: for a key that is known.
    pub(super) fn admit(
        &self,
        user: Option<&str>,
        plan: &Plan,
        cost: u64,
        now: impl Fn() -> u64,
    ) -> bool {
        let Some(user) = user else {
            return self.keyless.admit(plan, now(), cost);
        };
        let Some(keyed) = self.keyed.get() else {
            return false;
        };
        let hash = keyed.hasher.hash_one(user);
        let mut shard = lock(keyed.shard(hash));
        let now = now();
        shard
            .entries
            .find_mut(hash, |entry| &*entry.key == user)
            .is_some_and(|entry| entry.states.admit(plan, now, cost))
    }

    pub(super) fn handle_keyless(
        &self,
        request: &Request<'_>,
        now: u64,
    ) -> Result<Decision, Error> {
        self.keyless
            .with(request.plans, now, |states| request.apply(states, now))
    }

    pub(super) fn handle_keyed(
        &self,
        user: &str,
        request: &Request<'_>,
        now: impl Fn() -> u64,
        shared: &Shared,
    ) -> Result<Decision, Error> {
        let keyed = self.keyed.get_or_init(Keyed::new);
        let hash = keyed.hasher.hash_one(user);
        let mut shard = lock(keyed.shard(hash));
        // Under the lock, so that the decisions about a key see time in their own order.
        let now = now();
        if let Some(entry) = shard.entries.find_mut(hash, |entry| &*entry.key == user) {
            let decision = request.apply(entry.states.sized(request.plans.len()), now)?;
            if request.operation == Operation::Reset {
                keyed.forget(&mut shard, hash, user, shared);
            }
            return Ok(decision);
        }
        let mut states = States::new(request.plans.len());
        let decision = request.apply(states.as_mut_slice(), now)?;
        let longest = self.longest.load(Ordering::Relaxed);
        if states.is_idle(longest, now) {
            return Ok(decision);
        }
        shard.sweep(longest, now.saturating_sub(GRACE), &mut { STEP }, shared);
        shared.admit_key()?;
        shard.entries.insert_unique(
            hash,
            Entry {
                key: user.into(),
                states,
            },
            |entry| keyed.hasher.hash_one(&*entry.key),
        );
        Ok(decision)
    }

    /// Forgets idle keys of further shards, at most `budget` places; whether any was found.
    pub(super) fn sweep(&self, now: u64, budget: &mut usize, shared: &Shared) -> bool {
        let Some(keyed) = self.keyed.get() else {
            return false;
        };
        let longest = self.longest.load(Ordering::Relaxed);
        for _ in 0..SHARDS {
            let index = {
                let mut next = lock(&keyed.next_shard);
                *next = (*next + 1) % SHARDS;
                *next
            };
            let mut shard = lock(&keyed.shards[index]);
            if shard.sweep(longest, now, budget, shared) {
                return true;
            }
            if *budget == 0 {
                break;
            }
        }
        false
    }

    pub(super) fn clear(&self, shared: &Shared) {
        self.keyless.clear();
        let Some(keyed) = self.keyed.get() else {
            return;
        };
        for shard in &keyed.shards {
            let mut shard = lock(shard);
            shared.forget_keys(shard.entries.len());
            shard.entries = HashTable::new();
            shard.hand = 0;
        }
    }
}

impl Keyed {
    fn new() -> Self {
        Self {
            hasher: secret_hasher(),
            shards: std::array::from_fn(|_| Mutex::default()),
            next_shard: Mutex::default(),
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // Bits that neither the map's place (low) nor its tag (the top seven) is made of.
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    fn forget(&self, shard: &mut Shard, hash: u64, user: &str, shared: &Shared) {
        if let Ok(entry) = shard.entries.find_entry(hash, |entry| &*entry.key == user) {
            entry.remove();
            shared.forget_keys(1);
        }
    }
}

impl Shard {
    /// Looks at the next `budget` places and forgets the keys that owe nothing.
    fn sweep(&mut self, longest: u64, now: u64, budget: &mut usize, shared: &Shared) -> bool {
        let places = self.entries.num_buckets();
        let steps = places.min(*budget);
        *budget -= steps;
        let mut forgotten = 0;
        for _ in 0..steps {
            self.hand = (self.hand + 1) % places;
            if let Ok(entry) = self.entries.get_bucket_entry(self.hand)
                && entry.get().states.is_idle(longest, now)
            {
                entry.remove();
                forgotten += 1;
            }
        }
        shared.forget_keys(forgotten);
        forgotten > 0
    }
}

/// Seeded by std's own secret.
fn secret_hasher() -> RandomState {
    let secret = std::hash::RandomState::new();
    let seed = |nth: u64| secret.hash_one(nth);
    RandomState::with_seeds(seed(0), seed(1), seed(2), seed(3))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
