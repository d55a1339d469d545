//! Waiting to be admitted: one procedure for sync and async callers.
//!
//! [`Wait`] is a state machine whose steps are to ask the store, to sleep, or to run. One driver parks
//! the thread, the other is polled. Dropping it gives back its place in the queue or its reserved slot.
//!
//! A bucket knows when a call will be admitted, so a call takes its slot when it comes and sleeps until
//! the slot begins. A window does not: its callers queue up, and the head asks when there may be room.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::algorithms::{self, Plan};
use crate::clock::{self, Sleep, after};
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limiter::call::Call;
use crate::limiter::counted_wait::CountedWait;
use crate::limiter::max_wait::WaitTime;
use crate::limiter::named::Asking;
use crate::limiter::wait_queue::{
    GiveBack, Joined, LimitQueue, LimitWaiter, Position, QueueHead, Seen, Slot, SlotWaiter,
    TakenSlot, Turn, WaitQueues,
};
use crate::store::request::Operation;

/// A first decision about a call that may have to wait.
#[derive(Clone, Debug)]
pub(crate) struct First {
    pub(super) decision: Decision,
    /// The limits that have decided; `None` on the fast path, where they are unknown.
    pub(super) plans: Option<Arc<[Plan]>>,
    /// The events that had happened before the store was asked.
    pub(super) seen: Seen,
}

impl First {
    /// The decision about a call that has taken a slot under `plans`, or on the fast path.
    pub(crate) fn of_slot(decision: Decision, plans: Option<Arc<[Plan]>>) -> Self {
        Self {
            decision,
            plans,
            seen: Seen::UNKNOWN,
        }
    }

    /// Whether `plans` have decided. The fast path may have decided by limits that were replaced meanwhile. A slot of
    /// those is not released: at most a full debt of the new limits is owed for it.
    fn is_by(&self, plans: &[Plan], cost: u64) -> bool {
        let Decision {
            reservation, delay, ..
        } = self.decision;
        let slot = Slot {
            at: after(reservation.since, delay),
            units: cost,
            reservation,
        };
        self.plans.is_some() || slot.is_of(plans)
    }

    pub(crate) const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether the call need not wait.
    pub(crate) const fn is_final(&self) -> bool {
        self.decision.allowed && self.decision.delay.is_zero()
    }
}

/// A waiting call, with its place in the queue or its reserved slot.
pub(super) struct Wait<'a> {
    /// With no maximum of waiting calls, because the call is already counted.
    call: Call<'a>,
    began: u64,
    deadline: u64,
    held: Held<'a>,
    /// The sleep of an async caller, and its end.
    sleep: Option<(u64, Sleep)>,
    /// The request of an async caller to the store, with the events that had happened before.
    asking: Option<(Asking<'a>, Arc<[Plan]>, Seen)>,
    /// Last, because a call counts as waiting until it has released its slot.
    _counted: CountedWait<'a>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "it is made once for each wait, and a box would be an allocation more"
)]
enum Held<'a> {
    Nothing,
    InQueue(LimitWaiter<'a>),
    /// The decision is what the call returns once its slot has come.
    Slot(SlotWaiter<'a>, Decision),
}

enum Next {
    Ask,
    Sleep(u64),
    Done(Decision),
}

impl<'a> Wait<'a> {
    /// Joins the queue of the key if there is one; `None` when the caller may ask at once.
    ///
    /// # Errors
    /// When the waiters ahead alone take longer than the caller may wait, and for a cost above the capacity.
    pub(super) fn join(call: Call<'a>) -> Result<Option<Self>, Error> {
        if !Self::may_queue(call) {
            return Ok(None);
        }
        let Some(queue) = call.limiter.queues().get(call.key) else {
            return Ok(None);
        };
        if queue.is_empty() {
            return Ok(None);
        }
        call.limiter.check_cost(call.key, call.cost)?;
        let mut wait = Self::new(call)?;
        if wait.deadline != u64::MAX
            && let Some(ahead) = queue.head()
        {
            let now = wait.began;
            wait.check_deadline(now, wait.earliest_behind(now, ahead))?;
        }
        let seen = wait.queues().seen();
        wait.take_place(queue, 0, seen);
        Ok(Some(wait))
    }

    /// Whether [`Wait::join`] would find a queue to join.
    pub(super) fn would_queue(call: Call<'_>) -> bool {
        Self::may_queue(call) && call.limiter.queues().contains(call.key)
    }

    /// Whether a call may have to wait behind others. A call of cost 0 takes nothing and never waits.
    fn may_queue(call: Call<'_>) -> bool {
        call.max_wait.may_wait() && call.cost > 0 && !call.limiter.queues().is_empty()
    }

    /// Begins to wait after a first decision that was not final.
    pub(super) fn after(call: Call<'a>, first: First) -> Result<Self, Error> {
        let Call {
            limiter, key, cost, ..
        } = call;
        let seen = match first.seen {
            Seen::UNKNOWN => limiter.queues().seen(),
            seen => seen,
        };
        let plans = first.plans.clone().unwrap_or_else(|| limiter.plans());
        let has_slot = first.decision.allowed && first.is_by(&plans, cost);
        let mut wait = Self::new(call).inspect_err(|_| {
            if has_slot {
                limiter.release_by(&plans, key, first.decision.reservation, cost);
            }
        })?;
        // A bucket that denies a call which does not wait may have a slot for a call that waits.
        if has_slot || !limiter.is_bucket() {
            wait.decided(&plans, first.decision, seen)?;
        }
        Ok(wait)
    }

    fn new(mut call: Call<'a>) -> Result<Self, Error> {
        let limiter = call.limiter;
        let counted = CountedWait::new(limiter, call.max_wait.calls)
            .ok_or_else(|| limiter.too_many_waiting(call.key, call.max_wait))?;
        call.max_wait.calls = None;
        let began = limiter.clock().now();
        let deadline = match call.max_wait.time {
            WaitTime::AtMost(longest) => after(began, longest),
            WaitTime::None | WaitTime::Unbounded => u64::MAX,
        };
        Ok(Self {
            call,
            began,
            deadline,
            held: Held::Nothing,
            sleep: None,
            asking: None,
            _counted: counted,
        })
    }

    fn queues(&self) -> &'a WaitQueues {
        self.call.limiter.queues()
    }

    fn take_place(&mut self, queue: LimitQueue<'a>, at: u64, seen: Seen) {
        self.held = Held::InQueue(self.queues().join(queue, self.call.cost, at, seen));
    }

    /// The operation to ask the store for.
    fn operation(&self) -> Operation {
        let mut max_wait = self.call.max_wait;
        if let WaitTime::AtMost(left) = &mut max_wait.time {
            *left = Duration::from_nanos(
                self.deadline
                    .saturating_sub(self.call.limiter.clock().now()),
            );
        }
        self.call.limiter.operation(self.call.cost, max_wait)
    }

    /// Handles a decision of the store by `plans`. Returns it when the call need not wait any longer.
    fn decided(
        &mut self,
        plans: &Arc<[Plan]>,
        decision: Decision,
        seen: Seen,
    ) -> Result<Option<Decision>, Error> {
        let now = self.call.limiter.clock().now();
        if !decision.allowed {
            if self.call.limiter.is_bucket() {
                let refused = self.call.limiter.refused(
                    self.call.key,
                    self.call.max_wait,
                    decision.retry_after,
                );
                return Err(refused);
            }
            let at = after(now, decision.retry_after);
            self.check_deadline(now, at)?;
            match &self.held {
                Held::InQueue(waiter) => self.queues().ask_at(waiter, at, seen),
                _ => self.take_place(self.queues().enter(self.call.key), at, seen),
            }
            return Ok(None);
        }
        if decision.delay.is_zero() {
            return Ok(Some(decision));
        }
        let at = after(now, decision.delay);
        self.hold_slot(plans, at, decision, seen);
        self.check_deadline(now, at)?;
        Ok(None)
    }

    /// Joins the waiters that have slots. If the limit has changed or slots have moved since the decision, releases
    /// the slot, and the caller asks again. A later change finds the waiter and recalls or moves its slot.
    fn hold_slot(&mut self, plans: &Arc<[Plan]>, at: u64, decision: Decision, seen: Seen) {
        let slot = Slot {
            at,
            units: self.call.cost,
            reservation: decision.reservation,
        };
        let recalled = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Slot(recalled, _) => Some(recalled),
            Held::Nothing | Held::InQueue(_) => None,
        };
        let taken = TakenSlot {
            slot,
            plans,
            is_outdated: *self.call.limiter.plans() != **plans,
        };
        let give_back = |what: &GiveBack| self.call.limiter.give_back(self.call.key, what);
        let (waiter, joined) =
            self.queues()
                .hold_slot(self.call.key, taken, seen, recalled, give_back);
        self.held = Held::Slot(waiter, decision);
        if joined == Joined::WithSlot && self.queues().have_moved_since(seen) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Held::Slot(waiter, _) = std::mem::replace(&mut self.held, Held::Nothing) {
            let give_back = |what: &GiveBack| self.call.limiter.give_back(self.call.key, what);
            self.queues().abandon(waiter, give_back);
        }
    }

    fn next(&self, waker: &Waker) -> Result<Next, Error> {
        let now = self.call.limiter.clock().now();
        Ok(match &self.held {
            Held::Nothing => Next::Ask,
            Held::InQueue(waiter) => match waiter.position(waker) {
                Position::Head(at) if at <= now => Next::Ask,
                Position::Head(at) => Next::Sleep(at),
                Position::Behind => {
                    if now >= self.deadline
                        && let Some(ahead) = waiter.ahead()
                    {
                        let earliest = self.earliest_behind(now, ahead);
                        self.check_deadline(now, earliest.max(self.deadline.saturating_add(1)))?;
                    }
                    Next::Sleep(self.deadline)
                }
            },
            Held::Slot(waiter, decision) => match waiter.poll(now, waker) {
                Turn::SleepUntil(at) if at <= now => Next::Done(*decision),
                Turn::SleepUntil(at) => Next::Sleep(at),
                Turn::AskAgain => Next::Ask,
            },
        })
    }

    /// The earliest time at which the call can run behind the callers ahead of it.
    fn earliest_behind(&self, now: u64, ahead: QueueHead) -> u64 {
        let units = ahead.others.saturating_add(self.call.cost);
        let behind = algorithms::earliest_behind(&self.call.limiter.plans(), ahead.units, units);
        after(ahead.ask_at, behind).max(now)
    }

    fn check_deadline(&self, now: u64, at: u64) -> Result<(), Error> {
        if at <= self.deadline {
            return Ok(());
        }
        let retry_after = Duration::from_nanos(at.saturating_sub(now).max(1));
        Err(self.call.limiter.too_late(self.call.key, retry_after))
    }

    /// Ends the wait of a call that runs: its slot is used, so nothing is released. The decision then contains the
    /// time that the call has waited.
    fn done(&mut self, decision: Decision) -> Decision {
        self.held = Held::Nothing;
        let waited = self.call.limiter.clock().now().saturating_sub(self.began);
        let waited = Duration::from_nanos(waited);
        self.call.limiter.record_wait(waited);
        Decision {
            // The slot was taken before its delay.
            more_after: decision.more_after.saturating_sub(decision.delay),
            delay: waited,
            ..decision
        }
    }

    pub(super) fn block(&mut self) -> Result<Decision, Error> {
        let waker = clock::waker_of_this_thread();
        loop {
            match self.next(&waker)? {
                Next::Done(decision) => return Ok(self.done(decision)),
                Next::Sleep(until) => self.call.limiter.clock().park_until(until),
                Next::Ask => {
                    let (seen, plans) = (self.queues().seen(), self.call.limiter.plans());
                    let decision =
                        self.call
                            .limiter
                            .handle_by(&plans, self.call.key, self.operation())?;
                    if let Some(decision) = self.decided(&plans, decision, seen)? {
                        return Ok(self.done(decision));
                    }
                }
            }
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Decision, Error>> {
        loop {
            if let Some((asking, ..)) = &mut self.asking {
                let decision = ready!(Pin::new(asking).poll(context));
                if let Some((_, plans, seen)) = self.asking.take()
                    && let Some(decision) = self.decided(&plans, decision?, seen)?
                {
                    return Poll::Ready(Ok(self.done(decision)));
                }
            }
            let until = match self.next(context.waker())? {
                Next::Done(decision) => return Poll::Ready(Ok(self.done(decision))),
                Next::Sleep(until) => until,
                Next::Ask => {
                    let (seen, plans) = (self.queues().seen(), self.call.limiter.plans());
                    let operation = self.operation();
                    let asking = self.call.limiter.handle_async_by(
                        Arc::clone(&plans),
                        self.call.key,
                        operation,
                    );
                    // A caller that asks does not count as sleeping.
                    self.sleep = None;
                    self.asking = Some((asking, plans, seen));
                    continue;
                }
            };
            let sleep = match &mut self.sleep {
                Some((earlier, sleep)) if *earlier == until => sleep,
                sleep => {
                    &mut sleep
                        .insert((until, self.call.limiter.clock().sleep_until(until)))
                        .1
                }
            };
            ready!(Pin::new(sleep).poll(context));
            self.sleep = None;
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}
