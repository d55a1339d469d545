//! The states behind one key prefix: one without a key, and a sharded map by key.
//!
//! A shard is locked for the few nanoseconds of a decision and never across anything else. Keys are
//! found by the hash of borrowed bytes; a new key costs at most one allocation.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::direct_limiter::DirectLimiter;
use super::key_count::{KeyCount, TableKeys};
use super::keyed_limiter::KeyedLimiter;
use super::shard::{Entry, Shard};
use super::states::States;
use crate::algorithms::{Answer, Plan, Rule, TimeBase};
use crate::clock::SteadyClock;
use crate::error::Error;
use crate::key::digest::Digest;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};
use crate::sync::{Mutex, lock};

/// How many entries of its shard a new key examines, to remove idle ones. More than one, so that
/// removal is faster than growth.
const STEP: usize = 8;
/// How long a key must have been idle before a new key removes it, in nanoseconds. Without it, a
/// caller that comes now and then would be removed and allocated again each time. It does not apply
/// once the handler is full.
const GRACE: u64 = 1_000_000_000;
/// How many entries a new key examines once the handler is full.
pub(super) const STEP_WHEN_FULL: usize = 1024;

#[derive(Debug)]
pub(crate) struct Table {
    direct: DirectLimiter,
    keyed: KeyedLimiter,
    keys: TableKeys,
    clock: SteadyClock,
    base: TimeBase,
    /// The longest period of the limits that decide by these states: limits of one name may differ,
    /// and a key is idle only when it is idle under each of them.
    longest: AtomicU64,
    /// Locked while a call decides by several tables. Calls that decide by one do not wait for it.
    together: Mutex<()>,
}

thread_local! {
    /// Whether this thread decides by several tables. Their keys are recorded afterwards, because a recorder is
    /// user code that may decide by these tables, too.
    static IS_TOGETHER: Cell<bool> = const { Cell::new(false) };
}

/// Ends the decision by several tables.
struct Together;

impl Drop for Together {
    fn drop(&mut self) {
        IS_TOGETHER.set(false);
    }
}

/// Runs `work` while no other call decides by several tables of which one is among these.
pub(crate) fn with_locked<R>(tables: &[&Table], work: impl FnOnce() -> R) -> R {
    IS_TOGETHER.set(true);
    let together = Together;
    let result = with_locked_above(0, tables, work);
    drop(together);
    tables.iter().for_each(|table| table.record_keys());
    result
}

/// Locks the tables in the order of their addresses, so that no two calls wait for each other.
fn with_locked_above<R>(address: usize, tables: &[&Table], work: impl FnOnce() -> R) -> R {
    let address_of = |table: &Table| std::ptr::from_ref(table).addr();
    let above = tables.iter().filter(|table| address_of(table) > address);
    match above.min_by_key(|table| address_of(table)) {
        Some(next) => {
            let _locked = lock(&next.together);
            with_locked_above(address_of(next), tables, work)
        }
        None => work(),
    }
}

impl Table {
    /// For limits of which these are the first, by the handler's clock and with its bounds on keys.
    pub(super) fn new(plans: &[Plan], clock: &SteadyClock, keys: &Arc<KeyCount>) -> Self {
        let clock = match plans.iter().any(Plan::is_queue) {
            // Slots of a queue pass one by one. A clock that steps would show several at once, and
            // all but one of them would be lost.
            true => clock.precise(),
            false => clock.clone(),
        };
        Self {
            direct: DirectLimiter::default(),
            keyed: KeyedLimiter::new(),
            keys: TableKeys::new(keys),
            base: TimeBase::new(plans.first().map_or(1, Plan::den), clock.now()),
            clock,
            longest: AtomicU64::new(0),
            together: Mutex::new(()),
        }
    }

    /// Prepares the table for decisions by `plans`.
    pub(crate) fn register(&self, plans: &[Plan]) {
        let longest = plans.iter().map(Plan::period).max().unwrap_or_default();
        self.longest.fetch_max(longest, Ordering::Relaxed);
    }

    /// The time of the limits that decide here.
    pub(crate) fn clock(&self) -> &SteadyClock {
        &self.clock
    }

    /// The packed form of a single limit, if its states fit this table's words.
    pub(super) fn packed_rule(&self, plans: &[Plan]) -> Option<Rule<u64>> {
        match plans {
            [plan] => self.base.rule(plan),
            _ => None,
        }
    }

    /// As [`Table::try_take`], for a limit without a key.
    #[inline(always)]
    pub(super) fn try_take_direct<A: Answer>(&self, rule: &Rule<u64>, cost: u64) -> Option<A> {
        self.direct.try_take(&self.base, rule, &self.clock, cost)
    }

    /// Decides about a call by the packed form of the limit, and takes its cost if it is admitted;
    /// `None` for a key that is not in the table or a state that is not packed.
    #[inline]
    pub(super) fn try_take<A: Answer>(
        &self,
        key: Subject<'_>,
        rule: &Rule<u64>,
        cost: u64,
    ) -> Option<A> {
        let keyed = &self.keyed;
        let key = key.canonical();
        let hash = keyed.hasher.hash_one(key);
        match rule {
            Rule::Gcra(gcra) => {
                // Read before the lock is taken: for a bucket, an earlier time only means that the
                // TAT lies further ahead.
                let now = self.clock.now();
                let at = self.base.ticks(now).filter(|_| gcra.has(cost))?;
                let mut shard = keyed.lock_shard_once(hash);
                let word = shard.word(hash, key)?;
                let Entry::Packed(tat) = Shard::entry(*word) else {
                    return None;
                };
                let call = gcra.arrive(tat, at, cost);
                if !gcra.admits(&call) {
                    return (!gcra.is_beyond(&call)).then(|| gcra.denied(call));
                }
                let tat = call.tat();
                *word = tat;
                drop(shard);
                Some(A::new(true, gcra.delays(&call), move || {
                    let decision = gcra.decision(&call, true, true);
                    let end = gcra.is_queue().then(|| self.base.absolute(tat));
                    decision.taken_in_slot(now, end)
                }))
            }
            Rule::Log(_) | Rule::Window(_) => {
                let mut shard = keyed.lock_shard_once(hash);
                let word = *shard.word(hash, key)?;
                let Entry::Apart(index) = Shard::entry(word) else {
                    return None;
                };
                shard
                    .states(index)?
                    .try_take(rule, || self.clock.now(), cost)
            }
        }
    }

    pub(super) fn handle_direct(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.direct.with(
            request.plans,
            &self.base,
            || self.clock.now(),
            |states, now| request.apply(states, now),
        )
    }

    pub(super) fn handle_keyed(&self, key: &str, request: &Request<'_>) -> Result<Decision, Error> {
        let keyed = &self.keyed;
        let digest = Digest::of_long(key);
        let key = match &digest {
            Some(digest) => Subject::Text(digest.as_str()),
            None => Subject::Text(key).canonical(),
        };
        let hash = keyed.hasher.hash_one(key);
        let shard = &mut *keyed.lock_shard(hash);
        // Under the lock, so that the decisions about a key see time in their own order.
        let now = self.clock.now();
        if let Some(&mut word) = shard.word(hash, key) {
            let mut states = shard.take(word, self.base);
            let decision = request.apply(states.sized(request.plans.len()), now);
            let kept = shard.keep(states, request.plans, self.base);
            if let Some(word) = shard.word(hash, key) {
                *word = kept;
            }
            if decision.is_ok() && request.operation == Operation::Reset {
                keyed.remove(shard, hash, key, &self.keys);
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
        self.keys
            .evict(shard.sweep(self.base, longest, before, &mut { STEP }));
        self.keys.add()?;
        let word = shard.keep(states, request.plans, self.base);
        shard.insert(hash, key, word, keyed.hasher);
        keyed.split_if_large(shard);
        Ok(decision)
    }

    /// Removes idle keys from the next shards, examining at most `budget` entries. Returns whether
    /// any was removed.
    pub(super) fn sweep(&self, budget: &mut usize) -> bool {
        let (now, longest) = (self.clock.now(), self.longest.load(Ordering::Relaxed));
        let mut removed = 0;
        self.keyed.rotate(|shard| {
            removed = shard.sweep(self.base, longest, now, budget);
            self.keys.evict(removed);
            removed > 0 || *budget == 0
        });
        removed > 0
    }

    /// The number of keys, and its upper limit.
    pub(super) fn keys(&self) -> &TableKeys {
        &self.keys
    }

    /// Records the changes of the keys in metrics. No lock of the table may be held, except by a decision by several
    /// tables.
    pub(super) fn record_keys(&self) {
        if !IS_TOGETHER.get() {
            self.keys.record();
        }
    }

    /// Removes the keys that are idle at `now`. Returns whether the table decides as a new one would.
    pub(super) fn remove_idle(&self, now: u64) -> bool {
        let longest = self.longest.load(Ordering::Relaxed);
        let mut is_idle = self.direct.is_idle(&self.base, longest, now);
        self.keyed.each(|shard| {
            self.keys
                .evict(shard.sweep(self.base, longest, now, &mut { usize::MAX }));
            is_idle &= shard.len() == 0;
        });
        is_idle
    }

    pub(super) fn clear(&self) {
        self.direct.clear();
        self.keyed.each(|shard| {
            self.keys.remove(shard.len());
            *shard = Shard::default();
        });
    }
}
