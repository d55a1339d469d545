//! Denials by Redis, which this process repeats without asking for as long as they last.
//!
//! A caller that keeps asking although it is denied then costs the server one call now and then instead of one each.
//! No call is ever admitted here. A refund by this process ends the denials of a key at once; a refund by another
//! process is noticed after the bound of [`Denials::new`].

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::few::Few;
use super::micros::round_up_to_micros;
use crate::algorithms::{Plan, State};
use crate::clock::after;
use crate::key::full::Key;
use crate::key::hasher::secret_hasher;
use crate::limit::decision::{Decision, nanos};
use crate::store::request::{Operation, Request};
use crate::sync::lock_std;

/// The default of the longest time for which a call is denied without asking again: this, or a tenth of the period if
/// that is shorter.
const LONGEST: Duration = Duration::from_millis(100);

const SHARDS: usize = 16;

/// The most denials of a shard. A denial that finds no place costs one more call.
const PER_SHARD: usize = 4_096;

/// A full shard is searched for denials that have ended once for this many denials that need a place.
const SEARCHED_ONCE_IN: usize = 256;

/// The denials of the keys that have been denied last.
pub(super) struct Denials {
    /// `None` for the default.
    longest: Option<Duration>,
    hashers: [RandomState; 2],
    shards: [Mutex<Shard>; SHARDS],
    /// How many denials there are, so that calls need not look for one while there are none.
    count: AtomicUsize,
    /// The number of refunds to keys of each shard. Changed under the lock of the shard.
    changes: [AtomicU64; SHARDS],
}

#[derive(Default)]
struct Shard {
    denials: HashTable<Denial>,
    /// The number of denials that found no place.
    crowded: usize,
}

/// The id of a key: two hashes with secrets that clients do not know. Collisions do not occur.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct KeyId(pub(super) u64, u64);

impl KeyId {
    /// The shard of the key, of `count` shards.
    pub(super) fn shard(self, count: usize) -> usize {
        self.1 as usize % count
    }
}

struct Denial {
    key: KeyId,
    plans: Few<Plan>,
    operation: Operation,
    evidence: Evidence,
    /// When the server was asked, and until when its denial is repeated, in nanoseconds.
    since: u64,
    until: u64,
}

/// Why a call is denied.
enum Evidence {
    /// The state of the key at this time of the server.
    State(State, u64),
    /// The denial of a call that costs one unit: until it is admitted, no units remain.
    Decision(Decision),
}

/// When the server was asked, and the number of refunds before.
#[derive(Clone, Copy)]
pub(super) struct Snapshot {
    since: u64,
    changes: u64,
}

impl Denials {
    /// `longest` is the longest time for which a denial is repeated; `None` stands for the default, and zero for
    /// never.
    pub(super) fn new(longest: Option<Duration>) -> Self {
        Self {
            longest,
            hashers: [secret_hasher(), secret_hasher()],
            shards: Default::default(),
            count: AtomicUsize::new(0),
            changes: Default::default(),
        }
    }

    pub(super) fn id(&self, key: &Key<'_>) -> KeyId {
        let [first, second] = &self.hashers;
        KeyId(first.hash_one(key), second.hash_one(key))
    }

    /// The denial of a call that is certain to be denied. `now` is in nanoseconds.
    pub(super) fn get(&self, request: &Request<'_>, now: u64) -> Option<Decision> {
        if self.is_empty() {
            return None;
        }
        let key = self.id(&request.key);
        let shard = lock_std(self.shard(key));
        let found = shard.denials.find(key.0, |denial| denial.key == key)?;
        found.decision_at(request, now)
    }

    /// The argument of [`Denials::insert`], unless denials are never repeated. Called before the server is asked.
    pub(super) fn snapshot(&self, key: Option<&KeyId>, now: u64) -> Option<Snapshot> {
        match self.longest {
            Some(Duration::ZERO) => None,
            _ => Some(Snapshot {
                since: now,
                changes: self.changes(*key?).load(Ordering::Acquire),
            }),
        }
    }

    /// Inserts the denial of a call, unless units of its key may have been refunded since the server was asked.
    /// Must be called in the order of the decisions about a key. `state` is the state of the key at the given time
    /// of the server, if it is known.
    pub(super) fn insert(
        &self,
        key: KeyId,
        snapshot: Snapshot,
        (plans, operation): (&Few<Plan>, Operation),
        decision: &Decision,
        state: Option<(State, u64)>,
    ) {
        let evidence = match (operation, state) {
            (Operation::Take(_), Some((state, now))) => Evidence::State(state, now),
            (Operation::Take(1), None) => Evidence::Decision(*decision),
            _ => return,
        };
        let since = snapshot.since;
        let until = after(since, decision.retry_after.min(self.longest(plans)));
        let denial = Denial {
            key,
            plans: plans.clone(),
            operation,
            evidence,
            since,
            until,
        };
        let mut shard = lock_std(self.shard(key));
        if self.changes(key).load(Ordering::Acquire) != snapshot.changes {
            return;
        }
        self.remove_from(&mut shard, key);
        if shard.denials.len() >= PER_SHARD {
            if shard.crowded.is_multiple_of(SEARCHED_ONCE_IN) {
                let before = shard.denials.len();
                shard.denials.retain(|denial| denial.until > since);
                self.removed(before - shard.denials.len());
            }
            shard.crowded += 1;
        }
        if shard.denials.len() < PER_SHARD {
            shard
                .denials
                .insert_unique(key.0, denial, |denial| denial.key.0);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes the denial of a key, because a later call of the key was admitted.
    pub(super) fn remove(&self, key: KeyId) {
        if !self.is_empty() {
            self.remove_from(&mut lock_std(self.shard(key)), key);
        }
    }

    /// Removes the denial of a key, and denials on their way to it, because its units may be refunded.
    pub(super) fn invalidate(&self, key: KeyId) {
        let mut shard = lock_std(self.shard(key));
        self.changes(key).fetch_add(1, Ordering::Release);
        self.remove_from(&mut shard, key);
    }

    /// Removes all denials, and denials on their way.
    pub(super) fn clear(&self) {
        for (shard, changes) in self.shards.iter().zip(&self.changes) {
            let mut shard = lock_std(shard);
            changes.fetch_add(1, Ordering::Release);
            self.removed(shard.denials.len());
            shard.denials.clear();
        }
    }

    /// Whether there are no denials. A denial that is not seen yet costs one more call.
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn removed(&self, count: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
    }

    fn remove_from(&self, shard: &mut Shard, key: KeyId) {
        let found = shard.denials.find_entry(key.0, |denial| denial.key == key);
        if let Ok(old) = found {
            old.remove();
            self.removed(1);
        }
    }

    fn changes(&self, key: KeyId) -> &AtomicU64 {
        &self.changes[key.shard(SHARDS)]
    }

    fn longest(&self, plans: &[Plan]) -> Duration {
        self.longest.unwrap_or_else(|| {
            let shortest = plans.iter().map(Plan::period).min();
            LONGEST.min(Duration::from_nanos(shortest.unwrap_or(0) / 10))
        })
    }

    fn shard(&self, key: KeyId) -> &Mutex<Shard> {
        &self.shards[key.shard(SHARDS)]
    }
}

impl Denial {
    /// The denial of a call, if it is certain to be denied.
    fn decision_at(&self, request: &Request<'_>, now: u64) -> Option<Decision> {
        if !(self.since..self.until).contains(&now) || *request.plans != *self.plans {
            return None;
        }
        let elapsed = now - self.since;
        match &self.evidence {
            Evidence::State(state, at) => {
                let ([plan], Operation::Take(cost)) = (request.plans, request.operation) else {
                    return None;
                };
                if cost > plan.capacity() {
                    return None;
                }
                let decision = state.peek(plan, at.saturating_add(elapsed), cost);
                (!decision.allowed).then(|| round_up_to_micros(decision))
            }
            Evidence::Decision(decision) => {
                let elapsed = nanos(elapsed.into());
                (request.operation == self.operation).then(|| Decision {
                    more_after: decision.more_after.saturating_sub(elapsed),
                    retry_after: decision.retry_after.saturating_sub(elapsed),
                    reset_after: decision.reset_after.saturating_sub(elapsed),
                    ..*decision
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::quota::Limit;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks about a call, lets `meanwhile` happen, and notes that it was denied. Returns whether the next call
    /// is denied without asking.
    fn is_believed_after(meanwhile: impl FnOnce(&Denials, &Request<'_>)) -> bool {
        let denials = Denials::new(Some(SECOND));
        let plans = [Plan::new(Limit::fixed_window(1, 60 * SECOND)).unwrap()];
        let request = Request::new(
            Key::new("a:b:fixed_window", None),
            &plans,
            Operation::Take(1),
        );
        let mut state = State::default();
        assert!(state.take(&plans[0], 0, 1).allowed);
        assert_eq!(denials.get(&request, 1), None);
        let key = denials.id(&request.key);
        let snapshot = denials.snapshot(Some(&key), 1).unwrap();
        meanwhile(&denials, &request);
        let denied = state.peek(&plans[0], 1, 1);
        let inserted = (&Few::One(plans[0]), request.operation);
        denials.insert(key, snapshot, inserted, &denied, Some((state, 1)));
        denials.get(&request, 2).is_some()
    }

    #[test]
    fn a_denial_is_believed() {
        assert!(is_believed_after(|_, _| {}));
    }

    /// The answers come by different connections to a cluster, so the denial may come last.
    #[test]
    fn a_denial_is_not_believed_if_units_were_given_back_since_the_question() {
        assert!(!is_believed_after(|denials, request| {
            denials.invalidate(denials.id(&request.key));
        }));
    }

    #[test]
    fn a_denial_is_not_believed_if_everything_was_cleared_since_the_question() {
        assert!(!is_believed_after(|denials, _| denials.clear()));
    }
}
