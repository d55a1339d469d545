//! Replays calls against a limit.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use premier::clock::ManualClock;
use premier::{Config, Error, Handler, Limit, MemoryHandler, RedisHandler, Throttle};

use crate::arrivals::Arrival;

/// The decision about a call.
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
    /// The call costs more than the limit can ever admit.
    Never,
}

/// Makes every call at its time, in memory, or in Redis if `redis` is a URL.
pub(crate) fn replay(
    limit: Limit,
    redis: Option<&str>,
    arrivals: &[Arrival],
) -> Result<Vec<Outcome>, Error> {
    let clock = ManualClock::new();
    let Some(url) = redis else {
        let memory = MemoryHandler::builder().clock(clock.clone());
        return calls(&clock, memory.max_keys(usize::MAX).build(), limit, arrivals);
    };
    let handler = RedisHandler::builder(url).clock(clock.clone()).build()?;
    // A new keyspace, so that the run shares no state with a service or with another run.
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let keyspace = format!("simulate-{}-{}", std::process::id(), started.as_nanos());
    let config = Config::new(handler.clone()).keyspace(keyspace.as_str());
    let outcomes = calls(&clock, config, limit, arrivals);
    handler.clear(&keyspace)?;
    outcomes
}

fn calls(
    clock: &ManualClock,
    config: impl Into<Config>,
    limit: Limit,
    arrivals: &[Arrival],
) -> Result<Vec<Outcome>, Error> {
    let throttle = Throttle::new("simulate", limit).with_config(config);
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
