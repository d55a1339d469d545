//! The circuits of a function with keys.

use std::collections::HashMap;
use std::time::Duration;

use ahash::RandomState;

use super::args::BreakerConfig;
use super::circuit::Circuit;
use crate::clock::after;
use crate::key::hasher::secret_hasher;

/// The most keys whose circuits are kept. The failures of further keys do not count.
const MAX_KEYS: usize = 1 << 20;

/// How long a map that stays nearly full is not looked through again, which takes milliseconds.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The circuits that are not as a new one would be. Those that have become idle are removed when the map has
/// doubled since they were last looked for.
#[derive(Debug)]
pub(super) struct Circuits {
    // Callers choose keys and must not be able to choose collisions.
    by_key: HashMap<Box<str>, Circuit, RandomState>,
    sweep_at: usize,
    /// When a map that stays nearly full may be looked through again.
    sweep_after: u64,
}

impl Default for Circuits {
    fn default() -> Self {
        Self {
            by_key: HashMap::with_hasher(secret_hasher()),
            sweep_at: 64,
            sweep_after: 0,
        }
    }
}

impl Circuits {
    /// Calls `work` with the circuit of a key.
    pub(super) fn with<R>(
        &mut self,
        key: &str,
        config: &BreakerConfig,
        now: impl Fn() -> u64,
        work: impl FnOnce(&mut Circuit) -> R,
    ) -> R {
        if let Some(circuit) = self.by_key.get_mut(key) {
            let result = work(circuit);
            if circuit.is_idle(config, now) {
                self.by_key.remove(key);
            }
            return result;
        }
        let mut circuit = Circuit::default();
        let result = work(&mut circuit);
        if !circuit.is_idle(config, &now) && self.has_room(config, now) {
            self.by_key.insert(key.into(), circuit);
        }
        result
    }

    fn has_room(&mut self, config: &BreakerConfig, now: impl Fn() -> u64) -> bool {
        if self.by_key.len() >= self.sweep_at {
            let now = now();
            if now < self.sweep_after {
                return self.by_key.len() < MAX_KEYS;
            }
            self.by_key.retain(|_, circuit| {
                !circuit.is_idle(config, || now) && !circuit.is_abandoned(config, now)
            });
            self.by_key.shrink_to(self.by_key.len() * 2);
            self.sweep_at = (self.by_key.len() * 2).clamp(64, MAX_KEYS);
            if self.by_key.len() > MAX_KEYS / 2 {
                self.sweep_after = after(now, SWEEP_PAUSE);
            }
        }
        self.by_key.len() < MAX_KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    use crate::attributes::circuit_breaker::circuit::Outcome;

    #[test]
    fn only_circuits_with_something_to_remember_are_kept() {
        let mut circuits = Circuits::default();
        let (config, changes) = (BreakerConfig::default(), AtomicU64::new(0));
        let mut end = |key: &str, now: u64, outcome| {
            circuits.with(
                key,
                &config,
                || now,
                |circuit| {
                    let generation = circuit.enter(1, &changes, || now).unwrap();
                    circuit.record(generation, outcome, &config, &changes, || now);
                },
            );
            circuits.by_key.len()
        };
        assert_eq!(end("succeeds", 0, Outcome::Succeeded), 0);
        assert_eq!(end("fails", 0, Outcome::Failed), 1);
        assert_eq!(end("fails", 0, Outcome::Succeeded), 1);
        let later = 10_000_000_000;
        assert_eq!(
            end("fails", later, Outcome::Succeeded),
            0,
            "nothing counts any more"
        );
        for key in 0..1_000 {
            // Each of these is idle when the next fails.
            assert!(end(&key.to_string(), later * (key + 2), Outcome::Failed) <= 65);
        }
    }
}
