//! The states behind one key prefix: one cell without a key, a sharded map with.
//!
//! A shard is locked for the few nanoseconds of a decision and never across anything else. Keys
//! are found by the hash of borrowed bytes; a new one costs at most one allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(feature = "tower")]
use std::time::Duration;

use ahash::RandomState;

use super::Shared;
use super::bucket::Bucket;
use super::keyless::Keyless;
use super::shard::{Known, Shard};
use super::states::States;
use super::sync::{Mutex, lock};
use super::word::{Gcra, Scale, Verdict};
use crate::algorithms::Plan;
use crate::clock::{Counter, SteadyClock};
use crate::error::Error;
use crate::key::hasher::secret_hasher;
use crate::key::subject::Subject;
use crate::limit::algo::Algo;
#[cfg(feature = "tower")]
use crate::limit::decision::Brief;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

const SHARDS: usize = 32;
/// Which shard has the keys with these bits of their hash. The last has about twice as many as the
/// first: so they outgrow their memory one after the other, not all with the same key, and together
/// never have twice of what they need.
const SHARD_OF: [u8; 256] = {
    const fn share(shard: usize) -> usize {
        SHARDS + shard
    }
    let all = SHARDS * (share(0) + share(SHARDS - 1)) / 2;
    let (mut of, mut bits) = ([0; 256], 0);
    let (mut shard, mut end) = (0, share(0));
    while bits < of.len() {
        if bits * all >= end * of.len() {
            shard += 1;
            end += share(shard);
        }
        // Below 32.
        of[bits] = shard as u8;
        bits += 1;
    }
    of
};
/// How many places of its shard a new key looks at for others to forget. More than one, so that
/// the sweep outruns the growth.
const STEP: usize = 8;
/// How long a key has been idle before a new one takes its place, in nanoseconds: those who call
/// now and then are not made anew each time. At the bound there is no such grace.
const GRACE: u64 = 1_000_000_000;
/// How many places are looked at for a new key at the bound.
pub(super) const STEP_AT_THE_BOUND: usize = 1024;

#[derive(Debug)]
pub(crate) struct Table {
    keyless: Arc<Keyless>,
    keyed: OnceLock<Keyed>,
    clock: SteadyClock,
    /// The clock where it is the system's.
    counter: &'static Counter,
    scale: Scale,
    /// The longest period of the limits that decide by these states: throttles of one name may
    /// have different limits, and a key is idle only when it is so under each.
    longest: AtomicU64,
}

#[derive(Debug)]
struct Keyed {
    // Keyed by a secret per table: clients choose keys, and must not choose collisions.
    hasher: RandomState,
    shards: [Place; SHARDS],
    next_shard: Mutex<usize>,
}

/// A shard on cache lines of its own: threads on different shards do not meet.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(Mutex<Shard>);

/// The shortest way to decide about a key.
#[derive(Clone, Debug)]
struct Quick {
    gcra: Option<Gcra>,
    plan: Plan,
}

/// All that a call needs to decide by one limit in the shortest way: the states, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    table: Arc<Table>,
    quick: Quick,
}

impl Keys {
    /// See [`Table::admit`].
    #[inline]
    pub(crate) fn admit(&self, user: Subject<'_>, cost: u64) -> Verdict {
        self.table.admit(user, &self.quick, cost)
    }

    /// See [`Table::admit_keyless`].
    pub(crate) fn admit_keyless(&self, cost: u64) -> Verdict {
        self.table.admit_keyless(&self.quick, cost)
    }

    /// See [`Table::brief`].
    #[cfg(feature = "tower")]
    pub(crate) fn brief(&self, user: Subject<'_>, cost: u64) -> Option<Brief> {
        self.table.brief(user, &self.quick, cost)
    }
}

impl Table {
    /// For limits of which these are the first, by the handler's clock.
    pub(super) fn new(plans: &[Plan], clock: &SteadyClock) -> Self {
        let is_queue = |plan: &Plan| plan.limit().algo() == Algo::LeakyBucket;
        let clock = match plans.iter().any(is_queue) {
            // A queue's slots pass by one: those that a late clock shows at once would be lost.
            true => clock.precise(),
            false => clock.clone(),
        };
        Self {
            keyless: Arc::default(),
            keyed: OnceLock::new(),
            scale: Scale::new(plans.first().map_or(1, Plan::den), clock.now()),
            clock,
            counter: Counter::get(),
            longest: AtomicU64::new(0),
        }
    }

    /// Names limits that will decide by these states.
    pub(crate) fn register(&self, plans: &[Plan]) {
        let longest = plans.iter().map(Plan::period).max().unwrap_or_default();
        self.longest.fetch_max(longest, Ordering::Relaxed);
    }

    /// The time of its limits.
    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.clock
    }

    #[inline]
    fn now(&self) -> u64 {
        match &self.clock {
            SteadyClock::System => self.counter.now(),
            clock => clock.now(),
        }
    }

    /// The word of a limit without a key, where its state fits one.
    pub(crate) fn bucket(&self, plan: &Plan) -> Option<Bucket> {
        Bucket::new(&self.keyless, plan, self.scale, &self.clock)
    }

    /// The shortest way by this limit, for whoever keeps it.
    pub(crate) fn keys(self: &Arc<Self>, plan: &Plan) -> Keys {
        Keys {
            table: Arc::clone(self),
            quick: Quick {
                gcra: Gcra::new(plan, self.scale),
                plan: *plan,
            },
        }
    }

    /// See [`State::admit`](crate::algorithms::State): without a key, where there is no
    /// [`Bucket`].
    fn admit_keyless(&self, quick: &Quick, cost: u64) -> Verdict {
        match self.keyless.admit(&quick.plan, || self.clock.now(), cost) {
            true => Verdict::Admitted,
            false => Verdict::Unknown,
        }
    }

    /// See [`State::admit`](crate::algorithms::State): for a key that is known.
    #[inline]
    fn admit(&self, user: Subject<'_>, quick: &Quick, cost: u64) -> Verdict {
        let Some(keyed) = self.keyed.get() else {
            return Verdict::Unknown;
        };
        let user = user.canonical();
        let hash = keyed.hasher.hash_one(user);
        // A word is decided by in any order: what it says of an earlier time is too late at worst.
        let at = match quick.gcra {
            Some(_) => self.now(),
            None => 0,
        };
        let mut shard = lock(keyed.shard(hash));
        let Some(word) = shard.word(hash, user) else {
            return Verdict::Unknown;
        };
        match (Shard::known(*word), &quick.gcra) {
            (Known::Word(instant), Some(gcra)) => match gcra.step(instant, at, cost) {
                Ok(to) => {
                    *word = to;
                    Verdict::Admitted
                }
                Err(verdict) => verdict,
            },
            (Known::Apart(index), _) => {
                let admitted = shard
                    .states(index)
                    .is_some_and(|states| states.admit(&quick.plan, self.clock.now(), cost));
                match admitted {
                    true => Verdict::Admitted,
                    false => Verdict::Unknown,
                }
            }
            (Known::Word(_), None) => Verdict::Unknown,
        }
    }

    /// The same for one who wants to know what is left. `None` where the state has to be asked.
    #[cfg(feature = "tower")]
    fn brief(&self, user: Subject<'_>, quick: &Quick, cost: u64) -> Option<Brief> {
        let (keyed, gcra) = (self.keyed.get()?, quick.gcra.as_ref()?);
        let now = self.clock.now();
        let user = user.canonical();
        let hash = keyed.hasher.hash_one(user);
        let mut shard = lock(keyed.shard(hash));
        let word = shard.word(hash, user)?;
        let Known::Word(instant) = Shard::known(*word) else {
            return None;
        };
        let step = gcra.step(instant, now, cost);
        let (remaining, reset) = gcra.left(step.unwrap_or(instant), now)?;
        let (allowed, after) = match step {
            Ok(to) => {
                *word = to;
                (true, reset)
            }
            Err(Verdict::Denied(nanos)) => (false, nanos),
            Err(_) => return None,
        };
        Some(Brief {
            allowed,
            limit: gcra.capacity(),
            remaining,
            after: Duration::from_nanos(after),
        })
    }

    pub(super) fn handle_keyless(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.keyless.with(
            request.plans,
            self.scale,
            || self.clock.now(),
            |states, now| request.apply(states, now),
        )
    }

    pub(super) fn handle_keyed(
        &self,
        user: &str,
        request: &Request<'_>,
        shared: &Shared,
    ) -> Result<Decision, Error> {
        let keyed = self.keyed.get_or_init(Keyed::new);
        let user = Subject::Text(user).canonical();
        let hash = keyed.hasher.hash_one(user);
        let shard = &mut *lock(keyed.shard(hash));
        // Under the lock, so that the decisions about a key see time in their own order.
        let now = self.clock.now();
        if let Some(&mut word) = shard.word(hash, user) {
            let mut states = shard.take(word, self.scale);
            let decision = request.apply(states.sized(request.plans.len()), now);
            let kept = shard.keep(states, request.plans, self.scale);
            if let Some(word) = shard.word(hash, user) {
                *word = kept;
            }
            if decision.is_ok() && request.operation == Operation::Reset {
                keyed.forget(shard, hash, user, shared);
            }
            return decision;
        }
        let mut states = States::new(request.plans.len());
        let decision = request.apply(states.as_mut_slice(), now)?;
        let longest = self.longest.load(Ordering::Relaxed);
        if states.is_idle(longest, now) {
            return Ok(decision);
        }
        let before = now.saturating_sub(GRACE);
        shared.forget_keys(shard.sweep(self.scale, longest, before, &mut { STEP }));
        shared.admit_key()?;
        let word = shard.keep(states, request.plans, self.scale);
        shard.insert(hash, user, word, &keyed.hasher);
        Ok(decision)
    }

    /// Forgets idle keys of further shards, at most `budget` places; whether any was found.
    pub(super) fn sweep(&self, budget: &mut usize, shared: &Shared) -> bool {
        let Some(keyed) = self.keyed.get() else {
            return false;
        };
        let (now, longest) = (self.clock.now(), self.longest.load(Ordering::Relaxed));
        for _ in 0..SHARDS {
            let index = {
                let mut next = lock(&keyed.next_shard);
                *next = (*next + 1) % SHARDS;
                *next
            };
            let mut shard = lock(&keyed.shards[index].0);
            let forgotten = shard.sweep(self.scale, longest, now, budget);
            shared.forget_keys(forgotten);
            if forgotten > 0 {
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
        for Place(shard) in &keyed.shards {
            let mut shard = lock(shard);
            shared.forget_keys(shard.len());
            *shard = Shard::default();
        }
    }
}

impl Keyed {
    fn new() -> Self {
        Self {
            hasher: secret_hasher(),
            shards: std::array::from_fn(|_| Place::default()),
            next_shard: Mutex::default(),
        }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // Bits that neither the map's place (low) nor its tag (the top seven) is made of.
        let bits = (hash >> 48) as u8;
        &self.shards[usize::from(SHARD_OF[usize::from(bits)]) % SHARDS].0
    }

    fn forget(&self, shard: &mut Shard, hash: u64, user: Subject<'_>, shared: &Shared) {
        if shard.remove(hash, user) {
            shared.forget_keys(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_grow_from_one_size_to_twice_that() {
        let sizes: Vec<_> = (0..SHARDS)
            .map(|shard| {
                SHARD_OF
                    .iter()
                    .filter(|of| usize::from(**of) == shard)
                    .count()
            })
            .collect();
        assert!(
            sizes.iter().all(|size| (5..=11).contains(size)),
            "{sizes:?}"
        );
        assert!(
            sizes[..8].iter().max() < sizes[24..].iter().min(),
            "{sizes:?}"
        );
    }
}
