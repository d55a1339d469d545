//! Every interleaving of calls that succeed without the lock, of calls that fail, and of probes. Run by
//! `tests/run` with `--cfg premier_loom`.

use loom::sync::Arc;

use super::args::BreakerArgs;
use super::batched_window::BatchedWindow;
use super::circuit::{Circuit, Entry, Outcome};
use super::rules::{FailureRule, Rules};
use super::window::{BucketLength, Window};
use crate::telemetry::BreakerState;

const SECOND: u64 = 1_000_000_000;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

fn rules(failure_rate: f64, minimum_calls: u64, probes: u64) -> Rules {
    let defaults = BreakerArgs::default().rules();
    Rules {
        failures: FailureRule::Rate(failure_rate),
        minimum_calls,
        probes,
        ..defaults.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn enter(circuit: &Circuit, rules: &Rules, now: u64) -> Option<Entry> {
    let entered = || circuit.enter(rules, now).ok().map(|(entry, _)| entry);
    circuit.try_enter(Some(now)).or_else(entered)
}

fn record(
    circuit: &Circuit,
    rules: &Rules,
    now: u64,
    entry: Entry,
    outcome: Outcome,
) -> Option<BreakerState> {
    if outcome == Outcome::Succeeded && circuit.try_succeed(&entry, rules, || now) {
        return None;
    }
    let change = circuit.record(&entry, outcome, rules, now);
    change.map(|change| change.to)
}

/// Runs a call. Returns whether it was let through, and how the circuit has changed at its end.
fn call(
    circuit: &Circuit,
    rules: &Rules,
    now: u64,
    outcome: Outcome,
) -> (bool, Option<BreakerState>) {
    match enter(circuit, rules, now) {
        Some(entry) => (true, record(circuit, rules, now, entry, outcome)),
        None => (false, None),
    }
}

#[test]
fn a_window_counts_each_event_once_while_its_buckets_are_used_again() {
    check(|| {
        let window = Arc::new(Window::default());
        let length = BucketLength::of(std::time::Duration::from_secs(10));
        let tenth = move |now: u64| length.tenth_at(now * SECOND);
        window.add(tenth(0));
        // The bucket of second 0 is that of second 10, too.
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let window = Arc::clone(&window);
                loom::thread::spawn(move || {
                    window.add(tenth(9));
                    window.add(tenth(10));
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(window.count(tenth(10)), 4);
        assert_eq!(window.count(tenth(19)), 2);
    });
}

#[test]
fn a_batched_window_places_each_event_once() {
    check(|| {
        let window = Arc::new(BatchedWindow::with_batch(2));
        let length = BucketLength::of(std::time::Duration::from_secs(10));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let window = Arc::clone(&window);
                loom::thread::spawn(move || {
                    for _ in 0..2 {
                        window.add_now(length, || SECOND);
                    }
                })
            })
            .collect();
        // As a failure does meanwhile.
        window.count(length.tenth_at(SECOND));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(window.count(length.tenth_at(SECOND)), 4);
    });
}

#[test]
fn a_circuit_opens_once_and_no_call_of_it_is_lost() {
    check(|| {
        let circuit = Arc::new(Circuit::default());
        let rules = Arc::new(rules(0.5, 4, 1));
        let threads: Vec<_> = [Outcome::Succeeded, Outcome::Failed]
            .map(|outcome| {
                let (circuit, rules) = (Arc::clone(&circuit), Arc::clone(&rules));
                loom::thread::spawn(move || [(); 2].map(|()| call(&circuit, &rules, 0, outcome)))
            })
            .into();
        let mut opened = 0;
        for thread in threads {
            for (entered, change) in thread.join().unwrap() {
                // Only the fourth call can open the circuit.
                assert!(entered);
                opened += u32::from(change == Some(BreakerState::Open));
            }
        }
        // Two of four have failed. A success that was counted while the last failure was does not see it: then
        // the next failure opens the circuit.
        if opened == 0 {
            let (entered, change) = call(&circuit, &rules, 0, Outcome::Failed);
            assert!(entered && change == Some(BreakerState::Open));
        }
        assert!(opened <= 1);
        assert!(enter(&circuit, &rules, SECOND).is_none());
    });
}

#[test]
fn a_half_open_circuit_has_no_more_probes_than_places_and_closes_once() {
    check(|| {
        let circuit = Arc::new(Circuit::default());
        let rules = Arc::new(rules(1.0, 1, 1));
        let (_, change) = call(&circuit, &rules, 0, Outcome::Failed);
        assert_eq!(change, Some(BreakerState::Open));
        let now = 30 * SECOND;
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (circuit, rules) = (Arc::clone(&circuit), Arc::clone(&rules));
                loom::thread::spawn(move || call(&circuit, &rules, now, Outcome::Succeeded))
            })
            .collect();
        let calls: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let closed = calls
            .iter()
            .filter(|(_, change)| *change == Some(BreakerState::Closed));
        assert_eq!(closed.count(), 1);
        // The other was refused beside the probe, or let through after it.
        assert!(calls.iter().any(|(entered, _)| *entered));
        assert!(enter(&circuit, &rules, now).is_some());
    });
}

#[test]
fn the_outcome_of_a_call_counts_only_in_the_phase_in_which_it_began() {
    check(|| {
        let circuit = Arc::new(Circuit::default());
        let rules = Arc::new(rules(1.0, 1, 1));
        let [old, opens] = [(); 2].map(|()| enter(&circuit, &rules, 0).unwrap());
        record(&circuit, &rules, 0, opens, Outcome::Failed);
        let late = {
            let (circuit, rules) = (Arc::clone(&circuit), Arc::clone(&rules));
            loom::thread::spawn(move || record(&circuit, &rules, 31 * SECOND, old, Outcome::Failed))
        };
        let now = 30 * SECOND;
        let (entered, change) = call(&circuit, &rules, now, Outcome::Succeeded);
        assert!(entered && change == Some(BreakerState::Closed));
        assert_eq!(late.join().unwrap(), None);
        assert!(enter(&circuit, &rules, now).is_some());
    });
}
