//! Calls that Redis has denied are denied here as long as it would deny them.
//!
//! A caller that keeps asking although it is denied then costs the server one call now and then instead of
//! one each. Nothing is ever admitted here. What this process gives back ends the denials of a key at once;
//! what another process gives back is noticed after [`Denials::new`]'s bound.

use std::sync::Mutex;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::check::{Asked, Check, Few};
use super::link::lock;
use super::script::round_up_to_micros;
use crate::algorithms::State;
use crate::clock::after;
use crate::key::hasher::secret_hasher;
use crate::limit::decision::{Decision, nanos};
use crate::store::request::Operation;

/// The longest time for which a call is denied without asking again, unless the user says otherwise: this,
/// or a tenth of the period if that is shorter.
const LONGEST: Duration = Duration::from_millis(100);

const SHARDS: usize = 16;

/// The most denials of a shard. A denial that finds no place costs a call more.
const PER_SHARD: usize = 4_096;

/// The denials of the keys that have been denied last.
pub(super) struct Denials {
    /// `None` for the default.
    longest: Option<Duration>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    denials: HashTable<Denial>,
    /// How often units of keys of this shard were given back.
    changes: u64,
}

struct Denial {
    hash: u64,
    key: Box<str>,
    asked: Asked,
    evidence: Evidence,
    /// When the question was asked, and until when its answer is believed, in nanoseconds.
    since: u64,
    until: u64,
}

/// Why a call is denied.
enum Evidence {
    /// The state of the key at this time of the server.
    State(State, u64),
    /// What the server has decided about a call that costs one unit: until it is admitted, none remains.
    Decision(Decision),
}

/// What is known about a question while it is on its way.
#[derive(Clone, Copy)]
pub(super) struct Question {
    hash: u64,
    since: u64,
    changes: u64,
}

/// What is known before a question is sent.
pub(super) enum Known {
    /// The call is denied.
    Denied(Decision),
    /// Redis has to be asked. An answer to the question may be noted.
    Unknown(Option<Question>),
}

impl Denials {
    /// `longest` is the bound for how long a denial is believed; `None` stands for the default, and zero for
    /// never.
    pub(super) fn new(longest: Option<Duration>) -> Self {
        Self {
            longest,
            hasher: secret_hasher(),
            shards: Default::default(),
        }
    }

    /// Looks for a denial of an equal call. `now` is in nanoseconds.
    pub(super) fn look(&self, check: &Check, now: u64) -> Known {
        let (Few::One(asked), Some(key)) = (&check.asked, check.keys.first()) else {
            return Known::Unknown(None);
        };
        let takes = matches!(
            asked.operation,
            Operation::Take(_) | Operation::Reserve { .. }
        );
        if !takes || self.longest == Some(Duration::ZERO) {
            return Known::Unknown(None);
        }
        let hash = self.hasher.hash_one(key);
        let shard = lock(self.shard(hash));
        let found = shard.denials.find(hash, |denial| denial.is_of(hash, key));
        match found.and_then(|denial| denial.decision_at(asked, now)) {
            Some(decision) => Known::Denied(decision),
            None => Known::Unknown(Some(Question {
                hash,
                since: now,
                changes: shard.changes,
            })),
        }
    }

    /// Notes what has been decided about a call, in the order of the decisions about its key. A denial is not
    /// believed if units of the key may have been given back since the question was asked. `state` is that of
    /// the key at the given time of the server, if it is known.
    pub(super) fn note(
        &self,
        question: Question,
        check: &Check,
        decisions: &[Decision],
        state: Option<(State, u64)>,
    ) {
        let (Few::One(asked), Some(key), [decision]) =
            (&check.asked, check.keys.first(), decisions)
        else {
            return;
        };
        let Question { hash, since, .. } = question;
        if decision.allowed {
            // What is known about the key is of before.
            self.remove(hash, key);
            return;
        }
        let evidence = match (asked.operation, state) {
            (Operation::Take(_), Some((state, now))) => Evidence::State(state, now),
            (Operation::Take(1), None) => Evidence::Decision(*decision),
            _ => return,
        };
        let until = after(since, decision.retry_after.min(self.longest(asked)));
        let mut shard = lock(self.shard(hash));
        if shard.changes != question.changes {
            return;
        }
        let is_of = |denial: &Denial| denial.is_of(hash, key);
        if let Ok(old) = shard.denials.find_entry(hash, is_of) {
            old.remove();
        } else if shard.denials.len() >= PER_SHARD {
            shard.denials.retain(|denial| denial.until > since);
            if shard.denials.len() >= PER_SHARD {
                return;
            }
        }
        let denial = Denial {
            hash,
            key: key.as_str().into(),
            asked: asked.clone(),
            evidence,
            since,
            until,
        };
        shard
            .denials
            .insert_unique(hash, denial, |denial| denial.hash);
    }

    /// Forgets what is known about the key of a call that may give units back.
    pub(super) fn forget(&self, check: &Check) {
        if let Some(key) = check.keys.first() {
            let hash = self.hasher.hash_one(key);
            lock(self.shard(hash)).changes += 1;
            self.remove(hash, key);
        }
    }

    fn remove(&self, hash: u64, key: &str) {
        let mut shard = lock(self.shard(hash));
        let is_of = |denial: &Denial| denial.is_of(hash, key);
        if let Ok(old) = shard.denials.find_entry(hash, is_of) {
            old.remove();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.changes += 1;
            shard.denials.clear();
        }
    }

    fn longest(&self, asked: &Asked) -> Duration {
        self.longest.unwrap_or_else(|| {
            let shortest = asked.plans.iter().map(|plan| plan.period()).min();
            LONGEST.min(Duration::from_nanos(shortest.unwrap_or(0) / 10))
        })
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table uses the highest and the lowest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl Denial {
    fn is_of(&self, hash: u64, key: &str) -> bool {
        self.hash == hash && *self.key == *key
    }

    /// The decision about a call, if it is certain to be denied.
    fn decision_at(&self, asked: &Asked, now: u64) -> Option<Decision> {
        if !(self.since..self.until).contains(&now) || *asked.plans != *self.asked.plans {
            return None;
        }
        let elapsed = now - self.since;
        match &self.evidence {
            Evidence::State(state, at) => {
                let ([plan], Operation::Take(cost)) = (&*asked.plans, asked.operation) else {
                    return None;
                };
                let decision = state.peek(plan, at.saturating_add(elapsed), cost);
                (!decision.allowed).then(|| round_up_to_micros(decision))
            }
            Evidence::Decision(decision) => {
                let elapsed = nanos(elapsed.into());
                (asked.operation == self.asked.operation).then(|| Decision {
                    retry_after: decision.retry_after.saturating_sub(elapsed),
                    reset_after: decision.reset_after.saturating_sub(elapsed),
                    ..*decision
                })
            }
        }
    }
}
