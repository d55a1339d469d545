//! The states behind one key prefix: one without a key, and a sharded map by key.
//!
//! A shard is locked for the few nanoseconds of a decision and never across anything else. Keys are
//! found by the hash of borrowed bytes; a new key costs at most one allocation.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key_count::KeyCount;
use super::keyed::{CacheAligned, Keyed, SHARDS};
use super::keyless::Keyless;
use super::shard::{Entry, Shard};
use super::states::States;
use super::sync::lock;
use crate::algorithms::{Answer, Plan, Rule, TimeBase};
use crate::clock::SteadyClock;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::store::request::{Operation, Request};

/// How many places of its shard a new key looks at for others to forget. More than one, so that the
/// sweep outruns the growth.
const STEP: usize = 8;
/// How long a key has been idle before a new one takes its place, in nanoseconds, so that a caller
/// who comes now and then is not made anew each time. At the bound there is no such grace.
const GRACE: u64 = 1_000_000_000;
/// How many places are looked at for a new key at the bound.
pub(super) const STEP_AT_THE_BOUND: usize = 1024;

#[derive(Debug)]
pub(crate) struct Table {
    keyless: Keyless,
    keyed: OnceLock<Keyed>,
    clock: SteadyClock,
    base: TimeBase,
    /// The longest period of the limits that decide by these states: limits of one name may differ,
    /// and a key is idle only when it is idle under each of them.
    longest: AtomicU64,
}

impl Table {
    /// For limits of which these are the first, by the handler's clock.
    pub(super) fn new(plans: &[Plan], clock: &SteadyClock) -> Self {
        let clock = match plans.iter().any(Plan::is_queue) {
            // Slots of a queue pass one by one: several that a late clock shows at once would be
            // lost.
            true => clock.precise(),
            false => clock.clone(),
        };
        Self {
            keyless: Keyless::default(),
            keyed: OnceLock::new(),
            base: TimeBase::new(plans.first().map_or(1, Plan::den), clock.now()),
            clock,
            longest: AtomicU64::new(0),
        }
    }

    /// Names limits that will decide by these states.
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

    /// The fast path without a key.
    #[inline]
    pub(super) fn try_take_keyless<A: Answer>(&self, rule: &Rule<u64>, cost: u64) -> Option<A> {
        self.keyless
            .try_take(self.base, rule, || self.clock.now(), cost)
    }

    /// The fast path for a key that is known.
    #[inline]
    pub(super) fn try_take<A: Answer>(
        &self,
        key: Subject<'_>,
        rule: &Rule<u64>,
        cost: u64,
    ) -> Option<A> {
        let keyed = self.keyed.get()?;
        let key = key.canonical();
        let hash = keyed.hasher.hash_one(key);
        match rule {
            Rule::Gcra(gcra) => {
                // Read without the lock: a bucket may be asked in any order of times, for the
                // earlier one finds a TAT that lies further ahead.
                let now = self.clock.now();
                let at = self.base.ticks(now).filter(|_| gcra.has(cost))?;
                let mut shard = lock(keyed.shard(hash));
                let word = shard.word(hash, key)?;
                let Entry::Packed(tat) = Shard::entry(*word) else {
                    return None;
                };
                let call = gcra.arrive(tat, at, cost);
                let allowed = gcra.admits(&call);
                if !allowed && gcra.is_beyond(&call) {
                    return None;
                }
                let tat = call.tat(at);
                if allowed {
                    *word = tat;
                }
                drop(shard);
                Some(A::new(allowed, allowed && gcra.delays(&call), || {
                    let decision = gcra.decision(&call, allowed, allowed);
                    let is_slot = allowed && gcra.is_queue();
                    decision.taken_in_slot(now, is_slot.then(|| self.base.absolute(tat)))
                }))
            }
            Rule::Log(_) | Rule::Window(_) => {
                let mut shard = lock(keyed.shard(hash));
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

    pub(super) fn handle_keyless(&self, request: &Request<'_>) -> Result<Decision, Error> {
        self.keyless.with(
            request.plans,
            self.base,
            || self.clock.now(),
            |states, now| request.apply(states, now),
        )
    }

    pub(super) fn handle_keyed(
        &self,
        key: &str,
        request: &Request<'_>,
        count: &KeyCount,
    ) -> Result<Decision, Error> {
        let keyed = self.keyed.get_or_init(Keyed::new);
        let key = Subject::Text(key).canonical();
        let hash = keyed.hasher.hash_one(key);
        let shard = &mut *lock(keyed.shard(hash));
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
                keyed.forget(shard, hash, key, count);
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
        count.remove(shard.sweep(self.base, longest, before, &mut { STEP }));
        count.add()?;
        let word = shard.keep(states, request.plans, self.base);
        shard.insert(hash, key, word, &keyed.hasher);
        Ok(decision)
    }

    /// Forgets idle keys of further shards, at most `budget` places; whether any was found.
    pub(super) fn sweep(&self, budget: &mut usize, count: &KeyCount) -> bool {
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
            let forgotten = shard.sweep(self.base, longest, now, budget);
            count.remove(forgotten);
            if forgotten > 0 {
                return true;
            }
            if *budget == 0 {
                break;
            }
        }
        false
    }

    pub(super) fn clear(&self, count: &KeyCount) {
        self.keyless.clear();
        let Some(keyed) = self.keyed.get() else {
            return;
        };
        for CacheAligned(shard) in &keyed.shards {
            let mut shard = lock(shard);
            count.remove(shard.len());
            *shard = Shard::default();
        }
    }
}
