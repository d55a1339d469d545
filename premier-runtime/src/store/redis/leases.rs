//! Units that this process has leased: taken ahead from Redis, to hand out by itself.
//!
//! A unit counts as taken from the moment at which Redis has counted it, so the processes together never
//! admit more than the limit. It may be handed out while that moment does not matter: in the window in which it was
//! counted, or, of a token bucket, until the bucket would have been refilled with it. A bucket is refilled with the
//! units that were taken first, so the units of each fetch lapse apart. Their time counts from the request for them,
//! which comes before Redis counts them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashTable;

use super::denials::KeyId;
use crate::algorithms::{Plan, State};
use crate::clock::after;
use crate::limit::decision::{Decision, nanos};
use crate::store::request::Operation;
use crate::sync::lock_std;

const SHARDS: usize = 16;

/// The most keys of a shard with units. Calls of further keys ask Redis.
const PER_SHARD: usize = 4_096;

/// A fetch takes more units than the one before while they last for less than this, and fewer if they last ten times
/// as long.
const LASTS: u64 = 100_000_000;

/// Units of a key are refunded once it had no calls for this long.
const IDLE: u64 = 500_000_000;

/// The number of calls that the first units of a key are for.
const FIRST_CALLS: u64 = 8;

/// The units of each key.
#[derive(Default)]
pub(super) struct Leases {
    /// Set before a key is inserted.
    are_used: AtomicBool,
    shards: [Mutex<HashTable<Lease>>; SHARDS],
}

struct Lease {
    key: KeyId,
    /// The key in Redis.
    redis_key: String,
    plan: Plan,
    /// The units left of each fetch, oldest first.
    fetched: Vec<Fetched>,
    /// The number of units of the last fetch, and when it was asked for.
    size: u64,
    since: u64,
    is_fetching: bool,
    /// No units are fetched before.
    fetch_after: u64,
    last_used: u64,
}

/// Units that were taken by one call of Redis.
struct Fetched {
    units: u64,
    /// When the fetch was asked for.
    since: u64,
    lapses: Lapses,
    /// What Redis has decided.
    decision: Decision,
}

/// Until when units can be handed out.
#[derive(Clone, Copy)]
enum Lapses {
    /// All of them at this time, with the window.
    Together(u64),
    /// Until a token bucket has refilled the units that it lacked: as many as take this many nanoseconds.
    OneByOne(u64),
}

/// The result of a call.
#[derive(Default)]
pub(super) struct Found {
    /// The decision, if there were enough units.
    pub(super) decision: Option<Decision>,
    /// How many units to fetch.
    pub(super) fetch: Option<u64>,
}

/// Units to refund.
pub(super) struct Unused {
    pub(super) key: KeyId,
    pub(super) redis_key: String,
    pub(super) plan: Plan,
    pub(super) operation: Operation,
}

impl Leases {
    /// Takes `cost` units of a key whose limit has a lease of at most `most` units.
    pub(super) fn take(&self, key: KeyId, plan: &Plan, cost: u64, most: u64, now: u64) -> Found {
        let mut shard = lock_std(self.shard(key));
        let Some(lease) = shard.find_mut(key.0, |lease| lease.key == key) else {
            return Found::default();
        };
        if lease.plan != *plan {
            // The limit has changed. The units of the old one lapse.
            lease.fetched.clear();
            lease.plan = *plan;
        }
        lease.last_used = now;
        let Some(decision) = lease.take(cost, now) else {
            return Found::default();
        };
        Found {
            decision: Some(decision),
            fetch: lease.wanted(most, now),
        }
    }

    /// Begins a fetch. Returns false if one is running.
    pub(super) fn begin(
        &self,
        key: KeyId,
        redis_key: &str,
        plan: &Plan,
        size: u64,
        now: u64,
    ) -> bool {
        self.are_used.store(true, Ordering::SeqCst);
        let mut shard = lock_std(self.shard(key));
        match shard.find_mut(key.0, |lease| lease.key == key) {
            Some(lease) if lease.is_fetching => false,
            Some(lease) => {
                (lease.is_fetching, lease.size, lease.since) = (true, size, now);
                true
            }
            None => {
                let lease = Lease {
                    key,
                    redis_key: redis_key.to_owned(),
                    plan: *plan,
                    fetched: Vec::new(),
                    size,
                    since: now,
                    is_fetching: true,
                    fetch_after: now,
                    last_used: now,
                };
                shard.insert_unique(key.0, lease, |lease| lease.key.0);
                true
            }
        }
    }

    /// Adds the units of the fetch that was asked for at `asked_at`. `state` is the state of the key after it, at the
    /// given time of the server. Returns units that cannot be handed out.
    pub(super) fn add(
        &self,
        key: KeyId,
        plan: &Plan,
        (units, decision): (u64, Decision),
        state: Option<(State, u64)>,
        asked_at: u64,
    ) -> Option<Operation> {
        let unused = (units > 0).then(|| give_back(plan, units, &decision));
        let mut shard = lock_std(self.shard(key));
        let Some(lease) = shard.find_mut(key.0, |lease| lease.key == key) else {
            return unused;
        };
        lease.is_fetching = false;
        if units == 0 {
            // No sooner than there is a unit again.
            let soon = decision.retry_after.min(Duration::from_nanos(LASTS));
            lease.fetch_after = after(asked_at, soon);
            return None;
        }
        let Some((state, at)) = state.filter(|_| lease.plan == *plan) else {
            return unused;
        };
        let lapses = match state.window() {
            Some(window) => {
                let passed = at.saturating_sub(window.start);
                Lapses::Together(asked_at + plan.period().saturating_sub(passed))
            }
            None => {
                let ahead = after(0, state.expires_in(plan, at));
                // The nanosecond is that by which the time is rounded up.
                Lapses::OneByOne(ahead.saturating_sub(1))
            }
        };
        lease.fetched.push(Fetched {
            units,
            since: asked_at,
            lapses,
            decision,
        });
        None
    }

    /// Ends a fetch that has failed.
    pub(super) fn fail(&self, key: KeyId, now: u64) {
        let mut shard = lock_std(self.shard(key));
        if let Some(lease) = shard.find_mut(key.0, |lease| lease.key == key) {
            lease.is_fetching = false;
            lease.fetch_after = now + LASTS;
        }
    }

    /// Removes the units of a key that was reset.
    pub(super) fn forget(&self, key: KeyId) {
        if let Ok(lease) = lock_std(self.shard(key)).find_entry(key.0, |lease| lease.key == key) {
            lease.remove();
        }
    }

    /// Whether units may be left. False only if there are none.
    pub(super) fn are_used(&self) -> bool {
        self.are_used.load(Ordering::SeqCst)
    }

    /// Ends the use of leases if no units are left. Returns whether it has ended.
    pub(super) fn end_use(&self) -> bool {
        self.are_used.store(false, Ordering::SeqCst);
        let is_empty = self.shards.iter().all(|shard| lock_std(shard).is_empty());
        if !is_empty {
            self.are_used.store(true, Ordering::SeqCst);
        }
        is_empty
    }

    /// Removes all units.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            lock_std(shard).clear();
        }
    }

    /// Takes the units of idle keys, or of all keys. Returns the units that are still worth a refund if it takes
    /// place within `margin`, and whether units are left.
    pub(super) fn take_idle(&self, now: u64, all: bool, margin: Duration) -> (Vec<Unused>, bool) {
        let (mut unused, mut are_left) = (Vec::new(), false);
        for shard in &self.shards {
            let mut shard = lock_std(shard);
            let is_idle = |lease: &mut Lease| {
                all || !lease.is_fetching && now.saturating_sub(lease.last_used) >= IDLE
            };
            for lease in shard.extract_if(is_idle) {
                for fetched in &lease.fetched {
                    let units = fetched.valid_units(&lease.plan, after(now, margin));
                    if units > 0 {
                        unused.push(Unused {
                            key: lease.key,
                            redis_key: lease.redis_key.clone(),
                            plan: lease.plan,
                            operation: give_back(&lease.plan, units, &fetched.decision),
                        });
                    }
                }
            }
            are_left |= !shard.is_empty();
        }
        (unused, are_left)
    }

    /// How many units to fetch for a call that was not served.
    pub(super) fn wanted(&self, key: KeyId, cost: u64, most: u64, now: u64) -> Option<u64> {
        let mut shard = lock_std(self.shard(key));
        let count = shard.len();
        match shard.find_mut(key.0, |lease| lease.key == key) {
            Some(lease) => lease.wanted(most, now),
            None => (count < PER_SHARD).then(|| cost.saturating_mul(FIRST_CALLS).min(most)),
        }
    }

    fn shard(&self, key: KeyId) -> &Mutex<HashTable<Lease>> {
        &self.shards[key.shard(SHARDS)]
    }
}

impl Lease {
    /// Takes units, beginning with those that lapse first.
    fn take(&mut self, cost: u64, now: u64) -> Option<Decision> {
        let mut units = 0;
        for fetched in &mut self.fetched {
            fetched.units = fetched.valid_units(&self.plan, now);
            units += fetched.units;
        }
        if units < cost {
            self.fetched.retain(|fetched| fetched.units > 0);
            return None;
        }
        let mut left = cost;
        let mut decision = None;
        for fetched in &mut self.fetched {
            let taken = fetched.units.min(left);
            (fetched.units, left) = (fetched.units - taken, left - taken);
            if taken > 0 {
                decision = Some(fetched.decision_at(now, units - cost));
            }
        }
        if self.fetched.iter().any(|fetched| fetched.units == 0) {
            self.fetched.retain(|fetched| fetched.units > 0);
        }
        decision
    }

    /// How many units to fetch now, if any.
    fn wanted(&self, most: u64, now: u64) -> Option<u64> {
        let units: u64 = self.fetched.iter().map(|fetched| fetched.units).sum();
        let is_low = units < self.size.div_ceil(2);
        if !is_low || self.is_fetching || now < self.fetch_after {
            return None;
        }
        let lasted = now.saturating_sub(self.since);
        let size = match lasted {
            ..LASTS => self.size.saturating_mul(4),
            _ if lasted < 10 * LASTS => self.size,
            _ => self.size / 2,
        };
        Some(size.clamp(1, most))
    }
}

impl Fetched {
    /// How many of the units can be handed out at this time.
    fn valid_units(&self, plan: &Plan, now: u64) -> u64 {
        match self.lapses {
            Lapses::Together(end) if now >= end => 0,
            Lapses::Together(_) => self.units,
            Lapses::OneByOne(ahead) => {
                let left = ahead.saturating_sub(now.saturating_sub(self.since));
                let units = u128::from(left) * u128::from(plan.den()) / u128::from(plan.interval());
                self.units.min(u64::try_from(units).unwrap_or(u64::MAX))
            }
        }
    }

    /// The decision about a call after which this process has `units` leased units of its key left.
    fn decision_at(&self, now: u64, units: u64) -> Decision {
        let elapsed = nanos(now.saturating_sub(self.since).into());
        Decision {
            allowed: true,
            remaining: self.decision.remaining.saturating_add(units),
            more_after: self.decision.more_after.saturating_sub(elapsed),
            retry_after: Duration::ZERO,
            reset_after: self.decision.reset_after.saturating_sub(elapsed),
            ..self.decision
        }
    }
}

/// The operation that refunds units which Redis has counted with this decision.
fn give_back(plan: &Plan, units: u64, decision: &Decision) -> Operation {
    match plan.is_bucket() {
        true => Operation::Refund(units),
        // Not to a later window.
        false => Operation::Release(*decision.reservation(), units),
    }
}
