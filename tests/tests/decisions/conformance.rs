//! The memory handler passes the conformance suite, and stores with a fault do not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use premier::algorithms::State;
use premier::clock::{Clock, ManualClock};
use premier::{Decision, Error, Handler, MemoryHandler, Operation, Request};
use premier_conformance::Suite;

#[test]
fn memory_decides_every_sequence_exactly() {
    let compared = Suite::new(|clock| MemoryHandler::builder().clock(clock).build()).run();
    assert_eq!(compared, 59 * 60);
}

/// The fault of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// Another thread may come between reading a state and writing it.
    Unguarded,
    PeekTakes,
    ReleaseIsIgnored,
    ReleaseRefunds,
    RefundIsIgnored,
    ReserveIsTake,
    ChargeIsTake,
    ChargeIsUnbounded,
    ResetIsIgnored,
    ClearsByPrefix,
    OneStateForAllKeys,
    NeverDetaches,
    TakesTheFirstOfAll,
    ForgetsTooEarly,
    RoundsDown,
}

/// A store of states, correct but for its fault.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    clock: ManualClock,
    values: Mutex<HashMap<String, (u64, Vec<State>)>>,
}

impl Faulty {
    fn operation(&self, operation: Operation) -> Operation {
        match (self.fault, operation) {
            (Fault::PeekTakes, Operation::Peek(units)) => Operation::Take(units),
            (Fault::ReleaseIsIgnored, Operation::Release(..))
            | (Fault::RefundIsIgnored, Operation::Refund(_))
            | (Fault::ResetIsIgnored, Operation::Reset) => Operation::Peek(0),
            (Fault::ReleaseRefunds, Operation::Release(_, units)) => Operation::Refund(units),
            (Fault::ReserveIsTake, Operation::Reserve { cost, .. }) => Operation::Take(cost),
            (Fault::ChargeIsTake, Operation::Charge { units, .. }) => Operation::Take(units.min(3)),
            (Fault::ChargeIsUnbounded, Operation::Charge { units, .. }) => Operation::Charge {
                units,
                max_debt: Some(u64::MAX),
            },
            (_, operation) => operation,
        }
    }
}

impl Handler for Faulty {
    fn handle(&self, request: &Request<'_>) -> Result<Decision, Error> {
        let key = match self.fault {
            Fault::OneStateForAllKeys => request.key.prefix().to_owned(),
            _ => request.key.to_string(),
        };
        let request = Request::new(
            request.key,
            request.plans,
            self.operation(request.operation),
        );
        let mut values = self.values.lock().unwrap();
        let now = self.clock.now();
        let stored = values.get(&key).filter(|(expires_at, _)| now < *expires_at);
        let mut states = stored.map(|(_, states)| states.clone()).unwrap_or_default();
        states.resize(request.plans.len(), State::default());
        if self.fault == Fault::Unguarded {
            drop(values);
            thread::yield_now();
            values = self.values.lock().unwrap();
        }
        let mut decision = request.apply(&mut states, now)?;
        let lifetimes = states.iter().zip(request.plans);
        let lifetime = lifetimes.map(|(state, plan)| state.expires_in(plan, now));
        let mut lifetime = lifetime.max().unwrap_or_default();
        if self.fault == Fault::ForgetsTooEarly {
            lifetime /= 2;
        }
        let expires_at = now.saturating_add(u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX));
        values.insert(key, (expires_at, states));
        if self.fault == Fault::RoundsDown {
            let nanos = decision.retry_after.subsec_nanos() % 1_000;
            decision.retry_after -= std::time::Duration::from_nanos(nanos.into());
        }
        Ok(decision)
    }

    fn handle_detached(&self, request: &Request<'_>) {
        if self.fault != Fault::NeverDetaches {
            let _ = self.handle(request);
        }
    }

    fn take_all(&self, requests: &[Request<'_>]) -> Result<Vec<Decision>, Error> {
        if self.fault == Fault::TakesTheFirstOfAll {
            return requests
                .iter()
                .map(|request| self.handle(request))
                .collect();
        }
        let peek = |request: &Request<'_>| {
            let Operation::Take(units) = request.operation else {
                panic!("take_all with {:?}", request.operation)
            };
            self.handle(&Request::new(
                request.key,
                request.plans,
                Operation::Peek(units),
            ))
        };
        let peeked: Vec<_> = requests.iter().map(peek).collect::<Result<_, _>>()?;
        if !peeked.iter().all(|decision| decision.allowed) {
            return Ok(peeked);
        }
        let mut taken = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let decision = self.handle(request)?;
            if !decision.allowed {
                for (earlier, decision) in requests[..index].iter().zip(&taken) {
                    if let Some(release) = earlier.release(decision) {
                        let _ = self.handle(&release)?;
                    }
                }
                let mut decisions = peeked;
                decisions[index] = decision;
                return Ok(decisions);
            }
            taken.push(decision);
        }
        Ok(taken)
    }

    fn clear(&self, keyspace: &str) -> Result<(), Error> {
        let prefix = match self.fault {
            Fault::ClearsByPrefix => keyspace.to_owned(),
            _ => format!("{keyspace}:"),
        };
        let mut values = self.values.lock().unwrap();
        values.retain(|key, _| !key.starts_with(&prefix));
        Ok(())
    }
}

/// The message of the suite about a store with a fault; empty if the suite has found none.
fn failures(fault: Fault) -> String {
    let suite = Suite::new(|clock| Faulty {
        fault,
        clock,
        values: Mutex::default(),
    });
    match catch_unwind(AssertUnwindSafe(|| suite.run())) {
        Ok(_) => String::new(),
        Err(panic) => *panic.downcast::<String>().unwrap(),
    }
}

#[test]
fn a_store_by_the_public_interface_passes() {
    assert_eq!(failures(Fault::None), "");
}

#[test]
fn the_suite_names_the_check_that_a_faulty_store_fails() {
    let faults = [
        (
            Fault::Unguarded,
            "threads take exactly what a limit admits:",
        ),
        (Fault::PeekTakes, "a peek takes nothing:"),
        (
            Fault::ReleaseIsIgnored,
            "released units can be taken again:",
        ),
        (
            Fault::ReleaseRefunds,
            "units that are no longer counted are not released:",
        ),
        (Fault::RefundIsIgnored, "refunded units can be taken again:"),
        (
            Fault::ReserveIsTake,
            "slots follow one another in the order of the callers:",
        ),
        (
            Fault::ChargeIsTake,
            "later calls pay for units that are owed:",
        ),
        (Fault::ChargeIsUnbounded, "a key owes max_debt at most:"),
        (Fault::ResetIsIgnored, "a reset key is as one never seen:"),
        (
            Fault::ClearsByPrefix,
            "clear removes all keys of a keyspace and no others:",
        ),
        (Fault::OneStateForAllKeys, "keys of any text are apart:"),
        (
            Fault::NeverDetaches,
            "what is released in the background can be taken again:",
        ),
        (
            Fault::TakesTheFirstOfAll,
            "take_all takes from all keys or from none:",
        ),
        (Fault::ForgetsTooEarly, "random operations on one limit:"),
        (Fault::RoundsDown, "sequence token_bucket-1 step 14,"),
    ];
    // At the same time, because some checks wait for work that a store does in the background.
    thread::scope(|scope| {
        for (fault, check) in faults {
            scope.spawn(move || {
                let message = failures(fault);
                assert!(message.contains(check), "{fault:?}: {message}");
            });
        }
    });
}
