//! The circuits of a function with keys.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::circuit::{Change, Circuit};
use super::rules::Rules;
use crate::clock::after;
use crate::key::digest::{Digest, MAX_PLAIN_LEN, beginning};
use crate::key::hasher::secret_hasher;
use crate::sync::{Arc, Mutex, lock};
use crate::telemetry::{BreakerState, KeysByState};

/// The most keys whose circuits are kept. The calls of further keys are not counted.
const MAX_KEYS: usize = 1 << 20;

/// The smallest number of circuits for which a sweep removes idle ones.
const FEW: usize = 64;

/// How long a nearly full table is not swept again. A sweep takes milliseconds.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The circuit of one key.
#[derive(Debug)]
pub(super) struct KeyedCircuit {
    hash: u64,
    /// The key, or the beginning of a long one, which its digest distinguishes from others.
    pub(super) key: Box<str>,
    digest: Option<Digest>,
    pub(super) circuit: Circuit,
}

/// The circuits of all keys. The lock is held to find, insert or remove a circuit and for nothing else.
#[derive(Debug)]
pub(super) struct Circuits {
    // Callers choose keys and must not be able to choose collisions.
    hasher: RandomState,
    table: Mutex<Table>,
    counts: Counts,
}

/// How many circuits are not closed. One of two changes may be counted before the one that has made it possible.
#[derive(Debug, Default)]
struct Counts {
    half_open: AtomicI64,
    open: AtomicI64,
}

impl Counts {
    fn add(&self, state: BreakerState, change: i64) {
        let count = match state {
            BreakerState::Closed => return,
            BreakerState::HalfOpen => &self.half_open,
            BreakerState::Open => &self.open,
        };
        count.fetch_add(change, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Table {
    circuits: HashTable<Arc<KeyedCircuit>>,
    /// The number of circuits at which the next sweep is due.
    sweep_at: usize,
    /// When a nearly full table may be swept again.
    sweep_after: u64,
}

impl Default for Circuits {
    fn default() -> Self {
        Self {
            hasher: secret_hasher(),
            table: Mutex::new(Table {
                circuits: HashTable::new(),
                sweep_at: FEW,
                sweep_after: 0,
            }),
            counts: Counts::default(),
        }
    }
}

impl Circuits {
    /// Returns the circuit of a key, which is made if there is none. `None` if there are too many. Calls
    /// `removed_open`, without a lock, if circuits were removed that were open.
    pub(super) fn circuit(
        &self,
        full_key: &str,
        rules: &Rules,
        now: impl FnOnce() -> u64,
        removed_open: impl FnOnce(),
    ) -> Option<Arc<KeyedCircuit>> {
        let hash = self.hasher.hash_one(full_key);
        let digest = Digest::of_long(full_key);
        let key = beginning(full_key, MAX_PLAIN_LEN);
        let is_it = |circuit: &Arc<KeyedCircuit>| *circuit.key == *key && circuit.digest == digest;
        if let Some(circuit) = lock(&self.table).circuits.find(hash, is_it) {
            return Some(Arc::clone(circuit));
        }
        let circuit = Arc::new(KeyedCircuit {
            hash,
            key: key.into(),
            digest: Digest::of_long(full_key),
            circuit: Circuit::default(),
        });
        // Read before the lock is taken: a clock is code of the user's.
        let now = now();
        let mut table = lock(&self.table);
        if let Some(circuit) = table.circuits.find(hash, is_it) {
            return Some(Arc::clone(circuit));
        }
        let (has_room, removed) = table.has_room(rules, now);
        if has_room {
            table
                .circuits
                .insert_unique(hash, Arc::clone(&circuit), |circuit| circuit.hash);
        }
        drop(table);
        if removed > 0 {
            self.counts.add(BreakerState::Open, -removed);
            removed_open();
        }
        has_room.then_some(circuit)
    }

    /// Counts a change of the circuit of a key.
    pub(super) fn count(&self, change: Change) {
        self.counts.add(change.from, -1);
        self.counts.add(change.to, 1);
    }

    /// Returns how many keys have a circuit that is not closed. A circuit stays open until the first call after its
    /// time.
    pub(super) fn keys_by_state(&self) -> KeysByState {
        let read = |count: &AtomicI64| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
        KeysByState {
            half_open: read(&self.counts.half_open),
            open: read(&self.counts.open),
        }
    }
}

impl Table {
    /// Returns whether there is room for one more circuit, and how many open circuits were removed. Sweeps the table
    /// when the number of circuits has doubled since the last sweep: circuits that equal a new one are removed.
    fn has_room(&mut self, rules: &Rules, now: u64) -> (bool, i64) {
        let mut removed_open = 0;
        if self.circuits.len() >= self.sweep_at && now >= self.sweep_after {
            self.circuits.retain(|keyed| {
                // A call that runs holds its circuit, in which its outcome will count.
                if Arc::strong_count(keyed) > 1 {
                    return true;
                }
                let is_abandoned = keyed.circuit.is_abandoned(rules, now);
                removed_open += i64::from(is_abandoned);
                !(is_abandoned || keyed.circuit.is_idle(rules, now))
            });
            let len = self.circuits.len();
            self.circuits.shrink_to(len * 2, |circuit| circuit.hash);
            self.sweep_at = (len * 2).clamp(FEW, MAX_KEYS);
            if len > MAX_KEYS / 2 {
                self.sweep_after = after(now, SWEEP_PAUSE);
            }
        }
        (self.circuits.len() < MAX_KEYS, removed_open)
    }
}

#[cfg(all(test, not(premier_loom)))]
mod tests {
    use super::*;

    use crate::attributes::circuit_breaker::args::BreakerArgs;
    use crate::attributes::circuit_breaker::circuit::Outcome;

    const SECOND: u64 = 1_000_000_000;

    fn len(circuits: &Circuits) -> usize {
        lock(&circuits.table).circuits.len()
    }

    #[test]
    fn only_circuits_with_something_to_remember_are_kept() {
        let circuits = Circuits::default();
        let rules = BreakerArgs::default().rules().unwrap();
        for number in 0..1_000 {
            // Each of these is idle when the next call comes.
            let now = number * 10 * SECOND;
            let keyed = circuits
                .circuit(&number.to_string(), &rules, || now, || ())
                .unwrap();
            let (entry, _) = keyed.circuit.enter(&rules, now).unwrap();
            keyed.circuit.record(&entry, Outcome::Failed, &rules, now);
            assert!(len(&circuits) <= FEW);
        }
    }

    #[test]
    fn circuits_that_count_calls_and_those_of_running_calls_are_kept() {
        let circuits = Circuits::default();
        let rules = BreakerArgs::default().rules().unwrap();
        let running = circuits.circuit("runs", &rules, || 0, || ()).unwrap();
        for number in 0..1_000 {
            let key = number.to_string();
            let keyed = circuits.circuit(&key, &rules, || 0, || ()).unwrap();
            let entry = keyed.circuit.try_enter(None).unwrap();
            assert!(keyed.circuit.try_succeed(&entry, &rules, || 0));
        }
        assert_eq!(len(&circuits), 1_001);
        for number in 0..1_000 {
            let key = format!("new {number}");
            circuits.circuit(&key, &rules, || 20 * SECOND, || ());
        }
        let again = circuits.circuit("runs", &rules, || 20 * SECOND, || ());
        let again = again.unwrap();
        assert!(Arc::ptr_eq(&running, &again));
        assert!(len(&circuits) < 1_100, "{}", len(&circuits));
    }

    #[test]
    fn an_open_circuit_that_is_removed_is_counted_no_longer() {
        let circuits = Circuits::default();
        let rules = BreakerArgs::default().rules().unwrap();
        let open = Change {
            from: BreakerState::Closed,
            to: BreakerState::Open,
        };
        let fails = |key: &str| {
            let keyed = circuits.circuit(key, &rules, || 0, || ()).unwrap();
            for _ in 0..20 {
                let (entry, _) = keyed.circuit.enter(&rules, 0).unwrap();
                if let Some(change) = keyed.circuit.record(&entry, Outcome::Failed, &rules, 0) {
                    assert_eq!(change, open);
                    circuits.count(change);
                }
            }
        };
        (0..FEW).for_each(|number| fails(&number.to_string()));
        assert_eq!(circuits.keys_by_state().open, FEW as u64);
        let (mut removed, later) = (false, 3_600 * SECOND);
        circuits.circuit("new", &rules, || later, || removed = true);
        assert!(removed);
        assert_eq!(circuits.keys_by_state(), KeysByState::default());
    }
}
