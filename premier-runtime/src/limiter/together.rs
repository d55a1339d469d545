//! Several limits that decide about a call as one: all admit it, or nothing is taken.
//!
//! In memory the limits are asked under a lock for each of them, and a store answers for all of its keys in
//! one operation where it can. Only a call that waits takes from one limit after another; its units are refunded if
//! a later limit denies it, or if the caller stops waiting.

use std::sync::Arc;
use std::time::Duration;

use crate::algorithms::Plan;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::limiter::acquire::{acquire_unrecorded, acquire_unrecorded_async};
use crate::limiter::call::Call;
use crate::limiter::max_wait::WaitTime;
use crate::limiter::wait::{First, Wait};
use crate::store::memory::with_locked;
use crate::store::request::Operation;
use crate::store::take_all::take_in_turn;
use crate::sync_future::SyncFuture;
use crate::telemetry::{Outcome, Timer};

/// An error, and the index of the limit that it comes from.
type PartError = (usize, Error);

/// Acquires from all limits, and records their decisions. Calls `admitted` with these.
///
/// # Errors
/// When one of them does not admit the call.
pub(crate) fn acquire_all<const N: usize, R>(
    parts: &[Call<'_>; N],
    admitted: impl FnOnce(&[Decision; N]) -> R,
) -> Result<R, PartError> {
    let began = now(parts);
    let begun = match would_queue(parts) {
        true => Begun::Waits(Taken::nothing(parts)),
        false => begin(parts, take_all(parts))?,
    };
    let mut taken = match begun {
        Begun::Admitted(decisions) => return Ok(admitted(&decisions)),
        Begun::Waits(taken) => taken,
    };
    for index in taken.order() {
        let Some((part, first)) = taken.next(index, began) else {
            continue;
        };
        let acquired = acquire_unrecorded(part, first);
        taken.finish(index, acquired)?;
    }
    Ok(admitted(&taken.keep()))
}

/// As [`acquire_all`], without blocking the thread.
///
/// # Errors
/// As for [`acquire_all`].
pub(crate) async fn acquire_all_async<const N: usize, R>(
    parts: &[Call<'_>; N],
    admitted: impl FnOnce(&[Decision; N]) -> R,
) -> Result<R, PartError> {
    let began = now(parts);
    let begun = match would_queue(parts) {
        true => Begun::Waits(Taken::nothing(parts)),
        false => begin(parts, take_all_async(parts).await)?,
    };
    let mut taken = match begun {
        Begun::Admitted(decisions) => return Ok(admitted(&decisions)),
        Begun::Waits(taken) => taken,
    };
    for index in taken.order() {
        let Some((part, first)) = taken.next(index, began) else {
            continue;
        };
        let acquired = acquire_unrecorded_async(part, first).await;
        taken.finish(index, acquired)?;
    }
    Ok(admitted(&taken.keep()))
}

/// A call after the first decisions.
enum Begun<'a, 'b, const N: usize> {
    /// It need not wait.
    Admitted([Decision; N]),
    Waits(Taken<'a, 'b, N>),
}

/// Begins after the first decisions.
fn begin<'a, 'b, const N: usize>(
    parts: &'a [Call<'b>; N],
    decisions: Result<[Decision; N], PartError>,
) -> Result<Begun<'a, 'b, N>, PartError> {
    let decisions = decisions.inspect_err(|(index, error)| {
        parts[*index].record(Outcome::of(Err(error)));
    })?;
    if decisions.iter().all(|decision| decision.allowed) {
        if decisions.iter().all(|decision| decision.delay.is_zero()) {
            admit(parts, &decisions);
            return Ok(Begun::Admitted(decisions));
        }
        return Ok(Begun::Waits(Taken {
            parts,
            decisions: decisions.map(Some),
        }));
    }
    for (index, (part, decision)) in parts.iter().zip(&decisions).enumerate() {
        if !decision.allowed && !part.max_wait.may_wait() {
            part.record(Outcome::Denied);
            let error = part.limiter.denied(part.key, decision.retry_after);
            return Err((index, error));
        }
    }
    Ok(Begun::Waits(Taken::nothing(parts)))
}

/// Records that a call is admitted by all limits.
fn admit(parts: &[Call<'_>], decisions: &[Decision]) {
    for (part, decision) in parts.iter().zip(decisions) {
        part.limiter.collect(decision);
        part.record(Outcome::Admitted);
    }
}

/// Whether the call would overtake waiters.
fn would_queue(parts: &[Call<'_>]) -> bool {
    parts.iter().any(|part| Wait::would_queue(*part))
}

fn now(parts: &[Call<'_>]) -> u64 {
    parts.first().map_or(0, |part| part.limiter.clock().now())
}

/// Takes from all limits, or from none. If from none, at least one of the decisions is a denial.
fn take_all<const N: usize>(parts: &[Call<'_>; N]) -> Result<[Decision; N], PartError> {
    let Some(handler) = parts[0].limiter.store.handler() else {
        return take_all_in_memory(parts, |part, operation| match operation {
            Operation::Take(cost) => {
                let key = part.key.map(Subject::Text);
                part.limiter.take(key.as_ref(), cost)
            }
            operation => part.limiter.handle(part.key, operation),
        });
    };
    check_costs(parts)?;
    let plans = plans(parts);
    let requests = std::array::from_fn::<_, N, _>(|index| parts[index].request(&plans[index]));
    let timer = Timer::start(handler.name());
    let answer = handler.take_all(&requests);
    timer.stop(&answer);
    decided(parts, answer)
}

/// As [`take_all`], for a store outside of the process.
async fn take_all_async<const N: usize>(parts: &[Call<'_>; N]) -> Result<[Decision; N], PartError> {
    let Some(handler) = parts[0].limiter.store.handler() else {
        return take_all(parts);
    };
    check_costs(parts)?;
    let plans = plans(parts);
    let requests = std::array::from_fn::<_, N, _>(|index| parts[index].request(&plans[index]));
    let timer = Timer::start(handler.name());
    let answer = SyncFuture::new(handler.take_all_async(&requests)).await;
    timer.stop(&answer);
    decided(parts, answer)
}

fn check_costs(parts: &[Call<'_>]) -> Result<(), PartError> {
    for (index, part) in parts.iter().enumerate() {
        let checked = part.limiter.check_cost(part.key, part.cost);
        checked.map_err(|error| (index, error))?;
    }
    Ok(())
}

fn plans<const N: usize>(parts: &[Call<'_>; N]) -> [Arc<[Plan]>; N] {
    std::array::from_fn(|index| parts[index].limiter.plans())
}

/// The decisions of the store, or those of the outage policy while the store cannot decide.
fn decided<const N: usize>(
    parts: &[Call<'_>; N],
    answer: Result<Vec<Decision>, Error>,
) -> Result<[Decision; N], PartError> {
    let answer = answer.and_then(|decisions| {
        <[Decision; N]>::try_from(decisions).map_err(|decisions| {
            Error::backend(
                "store",
                format!("{} decisions for {N} requests", decisions.len()),
            )
        })
    });
    let error = match answer {
        Ok(decisions) => return Ok(decisions),
        Err(error) => error,
    };
    parts[0].limiter.store.count_outage_call(&error);
    take_all_in_memory(parts, |part, operation| {
        let plans = part.limiter.plans();
        let request = part.limiter.request(part.key, &plans, operation);
        part.limiter
            .store
            .decide_by_policy(&request, error.clone())
            .map_err(|error| error.at(part.limiter.name(), part.key))
    })
}

/// Takes in turn, while no other call that several limits decide takes from these.
fn take_all_in_memory<const N: usize>(
    parts: &[Call<'_>; N],
    ask: impl Fn(&Call<'_>, Operation) -> Result<Decision, Error>,
) -> Result<[Decision; N], PartError> {
    let tables = parts.map(|part| part.limiter.store.table());
    let mut decisions = [Decision::default(); N];
    with_locked(&tables, || {
        take_in_turn(
            &mut decisions,
            |index| parts[index].cost,
            |index, operation| ask(&parts[index], operation),
            |index, decision| parts[index].release(decision),
        )
    })?;
    Ok(decisions)
}

impl Call<'_> {
    fn request<'a>(&'a self, plans: &'a [Plan]) -> crate::store::request::Request<'a> {
        self.limiter
            .request(self.key, plans, Operation::Take(self.cost))
    }

    fn record(&self, outcome: Outcome<'_>) {
        self.limiter
            .record(self.key.map(Subject::Text).as_ref(), outcome);
    }

    fn release(&self, decision: &Decision) {
        if self.cost > 0 {
            self.limiter
                .release(self.key, decision.reservation, self.cost);
        }
    }
}

/// The units that a waiting call has taken. Dropping them refunds all.
struct Taken<'a, 'b, const N: usize> {
    parts: &'a [Call<'b>; N],
    decisions: [Option<Decision>; N],
}

impl<'a, 'b, const N: usize> Taken<'a, 'b, N> {
    fn nothing(parts: &'a [Call<'b>; N]) -> Self {
        Self {
            parts,
            decisions: [None; N],
        }
    }

    /// The order in which to take: limits under which the call does not wait come first, because their denial ends
    /// the call.
    fn order(&self) -> [usize; N] {
        let mut order = std::array::from_fn(|index| index);
        order.sort_by_key(|index| {
            let part = &self.parts[*index];
            part.max_wait.may_wait() || part.limiter.is_queue()
        });
        order
    }

    /// Returns a part that is still to be acquired, with the rest of its maximum wait, and the slot that it has
    /// taken. The slot then belongs to the caller.
    fn next(&mut self, index: usize, began: u64) -> Option<(Call<'b>, Option<Box<First>>)> {
        let mut part = self.parts[index];
        let waited = Duration::from_nanos(part.limiter.clock().now().saturating_sub(began));
        if let WaitTime::AtMost(longest) = &mut part.max_wait.time {
            *longest = longest.saturating_sub(waited);
        }
        let slot = &mut self.decisions[index];
        if let Some(decision) = slot {
            decision.delay = decision.delay.saturating_sub(waited);
            if decision.delay.is_zero() {
                return None;
            }
        }
        let first = |decision| Box::new(First::of_slot(decision, Some(part.limiter.plans())));
        Some((part, slot.take().map(first)))
    }

    /// Adds the acquired decision, or records the error.
    fn finish(&mut self, index: usize, acquired: Result<Decision, Error>) -> Result<(), PartError> {
        match acquired {
            Ok(decision) => {
                self.decisions[index] = Some(decision);
                Ok(())
            }
            Err(error) => {
                self.parts[index].record(Outcome::of(Err(&error)));
                Err((index, error))
            }
        }
    }

    /// Records that the call is admitted and uses its units.
    fn keep(mut self) -> [Decision; N] {
        let decisions = std::mem::replace(&mut self.decisions, [None; N]);
        let decisions = decisions.map(Option::unwrap_or_default);
        admit(self.parts, &decisions);
        decisions
    }
}

impl<const N: usize> Drop for Taken<'_, '_, N> {
    fn drop(&mut self) {
        for (part, decision) in self.parts.iter().zip(&self.decisions) {
            if let Some(decision) = decision {
                part.release(decision);
            }
        }
    }
}
