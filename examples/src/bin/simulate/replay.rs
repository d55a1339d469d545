//! What the library decides about each call.

use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Error, Limit, MemoryHandler, Throttle};

use crate::arrivals::Arrival;

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Allow {
        wait: Duration,
        remaining: u64,
    },
    Deny {
        retry_after: Duration,
        remaining: u64,
    },
    Never,
}

/// Makes every call at its own time.
pub(crate) fn replay(limit: Limit, arrivals: &[Arrival]) -> Result<Vec<Outcome>, Error> {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder()
        .clock(clock.clone())
        .max_keys(usize::MAX)
        .build();
    let throttle = Throttle::with_handler(handler, "simulate", limit);
    arrivals
        .iter()
        .map(|arrival| {
            clock.set(arrival.at);
            decide(&throttle, arrival)
        })
        .collect()
}

fn decide(throttle: &Throttle, arrival: &Arrival) -> Result<Outcome, Error> {
    let decision = match throttle.cost(arrival.cost).check(&arrival.key) {
        Ok(decision) => decision,
        Err(Error::CostExceedsCapacity { .. }) => return Ok(Outcome::Never),
        Err(error) => return Err(error),
    };
    let remaining = decision.remaining;
    Ok(if decision.allowed {
        Outcome::Allow {
            wait: decision.delay,
            remaining,
        }
    } else {
        Outcome::Deny {
            retry_after: decision.retry_after,
            remaining,
        }
    })
}
