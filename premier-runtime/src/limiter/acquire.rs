//! Acquiring: a decision, and waiting for admission where the caller may wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::algorithms::Plan;
use crate::clock::after;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::limiter::call::Call;
use crate::limiter::max_wait::{MaxWait, WaitTime};
use crate::limiter::named::{Asking, Limiter};
use crate::limiter::wait::{First, Wait};
use crate::limiter::wait_queue::Seen;
use crate::store::request::Operation;

/// A call whose slot begins within this time spins until then. Sleeping would take longer, and two calls may read
/// one time where slots are closer than the clock's step.
const SPIN_WAIT_MAX: Duration = Duration::from_micros(1);

/// Waits by the system's clock for a slot that begins within [`SPIN_WAIT_MAX`]. A caller whose maximum wait is below
/// [`SPIN_WAIT_MAX`] must not spin past it. Returns whether the slot has come.
pub(crate) fn spin(limiter: &Limiter, decision: &Decision, max_wait: MaxWait) -> bool {
    let may_spin = match max_wait.time {
        WaitTime::AtMost(longest) => longest >= SPIN_WAIT_MAX,
        WaitTime::None | WaitTime::Unbounded => true,
    };
    if !may_spin || decision.delay > SPIN_WAIT_MAX || !limiter.clock().can_spin() {
        return false;
    }
    let since = decision.reservation.since;
    let until = after(since, decision.delay);
    loop {
        let now = limiter.clock().now();
        // After a step back of the clock the end of the wait is unknown.
        if now >= until || now < since {
            return true;
        }
        std::hint::spin_loop();
    }
}

/// Acquires on the calling thread, after a first decision if there is one, and records the decision.
///
/// # Errors
/// When the call is not admitted.
pub(crate) fn acquire(call: Call<'_>, first: Option<Box<First>>) -> Result<Decision, Error> {
    recorded(call, acquire_unrecorded(call, first))
}

/// As [`acquire`], without blocking the thread.
///
/// # Errors
/// As for [`acquire`].
pub(crate) async fn acquire_async(
    call: Call<'_>,
    first: Option<Box<First>>,
) -> Result<Decision, Error> {
    recorded(call, acquire_unrecorded_async(call, first).await)
}

/// Records the decision about a call, and collects it if the call is admitted.
fn recorded(call: Call<'_>, acquired: Result<Decision, Error>) -> Result<Decision, Error> {
    if let Ok(decision) = &acquired {
        call.limiter.collect(decision);
    }
    let key = call.key.map(Subject::Text);
    call.limiter.recorded(key.as_ref(), acquired, |_| true)
}

/// As [`acquire`], for callers that record the decision themselves.
pub(crate) fn acquire_unrecorded(
    call: Call<'_>,
    first: Option<Box<First>>,
) -> Result<Decision, Error> {
    let step = match begin(call, first)? {
        Begun::Decided(step) => step,
        Begun::Ask(seen) => {
            let (plans, operation) = (call.limiter.plans(), operation(call));
            let decision = call.limiter.handle_by(&plans, call.key, operation)?;
            proceed(call, asked(call, decision, Some(plans), seen)?)?
        }
    };
    match step {
        Step::Done(decision) => Ok(decision),
        Step::Wait(mut wait) => wait.block(),
    }
}

/// As [`acquire_async`], for callers that record the decision themselves.
pub(crate) fn acquire_unrecorded_async(call: Call<'_>, first: Option<Box<First>>) -> Acquiring<'_> {
    Acquiring {
        call,
        stage: Stage::New(first),
    }
}

/// The future of [`acquire_unrecorded_async`].
///
/// Written by hand, because the future of an async function has room for each decision that it handles: 2,500 bytes.
/// A crowd of waiting callers spent a fifth of its time moving them.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Acquiring<'a> {
    call: Call<'a>,
    stage: Stage<'a>,
}

enum Stage<'a> {
    New(Option<Box<First>>),
    Asking(Asking<'a>, Arc<[Plan]>, Seen),
    Waiting(Box<Wait<'a>>),
}

impl Future for Acquiring<'_> {
    type Output = Result<Decision, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, stage } = &mut *self;
        let call = *call;
        loop {
            let step = match stage {
                Stage::New(first) => match begin(call, first.take())? {
                    Begun::Decided(step) => step,
                    Begun::Ask(seen) => {
                        let (plans, operation) = (call.limiter.plans(), operation(call));
                        let asking =
                            call.limiter
                                .handle_async_by(Arc::clone(&plans), call.key, operation);
                        *stage = Stage::Asking(asking, plans, seen);
                        continue;
                    }
                },
                Stage::Asking(asking, plans, seen) => {
                    let decision = ready!(Pin::new(asking).poll(context))?;
                    let plans = Some(Arc::clone(plans));
                    proceed(call, asked(call, decision, plans, *seen)?)?
                }
                Stage::Waiting(wait) => return wait.poll(context),
            };
            match step {
                Step::Done(decision) => return Poll::Ready(Ok(decision)),
                Step::Wait(wait) => *stage = Stage::Waiting(wait),
            }
        }
    }
}

/// A call that has begun to acquire.
enum Begun<'a> {
    Decided(Step<'a>),
    /// The store has to be asked, which may block.
    Ask(Seen),
}

/// A call after its first decision.
enum Step<'a> {
    /// It is admitted.
    Done(Decision),
    /// Boxed: few calls wait, and the futures of all of them are small.
    Wait(Box<Wait<'a>>),
}

/// Begins to acquire: joins the waiters of the key, or decides if that cannot block.
fn begin<'a>(call: Call<'a>, first: Option<Box<First>>) -> Result<Begun<'a>, Error> {
    let first = match first {
        Some(first) => *first,
        None => {
            if let Some(wait) = Wait::join(call)? {
                return Ok(Begun::Decided(Step::Wait(Box::new(wait))));
            }
            let Call {
                limiter,
                key,
                cost,
                max_wait,
            } = call;
            // The queues are not created for a call that never waits.
            let seen = match max_wait.may_wait() || limiter.is_queue() {
                true => limiter.queues().seen(),
                false => Seen::UNKNOWN,
            };
            let Some((decision, plans)) = limiter.acquire_at_once(key, cost, max_wait)? else {
                return Ok(Begun::Ask(seen));
            };
            asked(call, decision, plans, seen)?
        }
    };
    proceed(call, first).map(Begun::Decided)
}

/// The operation to ask the store for.
fn operation(call: Call<'_>) -> Operation {
    call.limiter.operation(call.cost, call.max_wait)
}

/// The step after the first decision.
fn proceed<'a>(call: Call<'a>, first: First) -> Result<Step<'a>, Error> {
    match unless_waiting(call, &first)? {
        Some(decision) => Ok(Step::Done(decision)),
        None => Ok(Step::Wait(Box::new(Wait::after(call, first)?))),
    }
}

/// The first decision about a call, if it can be made without blocking and without overtaking a waiter; `None` where
/// the store is outside of the process, and while other calls wait for the key.
///
/// # Errors
/// When the call is refused.
pub(crate) fn first_decision(call: Call<'_>) -> Result<Option<First>, Error> {
    let limiter = call.limiter;
    if !limiter.is_immediate() || Wait::would_queue(call) {
        return Ok(None);
    }
    let (seen, plans) = (limiter.queues().seen(), limiter.plans());
    let decision = limiter.handle_by(&plans, call.key, operation(call))?;
    let first = asked(call, decision, Some(plans), seen)?;
    unless_waiting(call, &first)?;
    Ok(Some(first))
}

/// The first decision of the store about a call.
///
/// # Errors
/// When a bucket denies the call: no slot begins within its maximum wait.
fn asked(
    call: Call<'_>,
    decision: Decision,
    plans: Option<Arc<[Plan]>>,
    seen: Seen,
) -> Result<First, Error> {
    if !decision.allowed && call.limiter.is_bucket() {
        let refused = call
            .limiter
            .refused(call.key, call.max_wait, decision.retry_after);
        return Err(refused);
    }
    Ok(First {
        decision,
        plans,
        seen,
    })
}

/// The decision, if the call need not wait.
fn unless_waiting(call: Call<'_>, first: &First) -> Result<Option<Decision>, Error> {
    let decision = first.decision;
    match (decision.allowed, call.max_wait.time) {
        _ if first.is_final() => Ok(Some(decision)),
        (false, WaitTime::None) => Err(call.limiter.denied(call.key, decision.retry_after)),
        _ => Ok(None),
    }
}
