//! From the first question to admission: one procedure for sync and async callers.
//!
//! [`Acquire`] is a small state machine that says what to do next: ask the store, sleep, or be
//! done. Two drivers below run it, one by parking the thread, one by awaiting. Whatever a caller
//! holds while it waits, a place in a queue or a reserved slot, is given back when it is dropped.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::SteadyClock;
use crate::clock::after;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::decision::Decision;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::wait_queue::{
    LimitQueue, LimitWaiter, Position, QueueHead, SlotWaiter, WaitQueues,
};
use crate::store::request::Operation;
use crate::{algorithms, clock};

/// A first decision about a call that may have to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    decision: Decision,
    /// How many notifications there had been before the store was asked.
    notifications: u64,
}

impl First {
    /// A call that has taken a slot.
    pub(crate) fn of_slot(decision: Decision) -> Self {
        Self {
            decision,
            notifications: 0,
        }
    }

    /// Whether nothing is left to wait for.
    pub(crate) const fn is_final(&self) -> bool {
        self.decision.allowed && self.decision.delay.is_zero()
    }
}

/// A slot that comes within this time is waited for without giving up the thread: to sleep would take
/// longer, and two calls may read the same time where slots are closer than the clock's step.
const SPIN_WAIT_MAX: Duration = Duration::from_micros(1);

/// Waits for a slot that is nearly there, by the system's clock. A caller whose maximum wait is below
/// [`SPIN_WAIT_MAX`] must not spin past it. Returns whether the slot has come.
pub(crate) fn spin(limiter: &Limiter, decision: &Decision, max_wait: MaxWait) -> bool {
    let may_spin = match max_wait {
        MaxWait::AtMost(longest) => longest >= SPIN_WAIT_MAX,
        MaxWait::None | MaxWait::Unbounded => true,
    };
    if !may_spin || decision.delay > SPIN_WAIT_MAX {
        return false;
    }
    let SteadyClock::System = limiter.clock() else {
        return false;
    };
    let since = decision.reservation.since;
    let until = after(since, decision.delay);
    loop {
        let now = limiter.clock().now();
        // A clock that falls back meanwhile shows nothing to wait for.
        if now >= until || now < since {
            return true;
        }
        std::hint::spin_loop();
    }
}

/// Acquires on the calling thread, and records the decision.
///
/// # Errors
/// When the call is not admitted.
pub(crate) fn acquire(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    acquire_from(limiter, key, cost, max_wait, None)
}

/// As [`acquire`], without blocking the thread.
///
/// # Errors
/// As for [`acquire`].
pub(crate) async fn acquire_async(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    acquire_async_from(limiter, key, cost, max_wait, None).await
}

/// Goes on from a first decision, if there is one.
pub(crate) fn acquire_from(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
    first: Option<First>,
) -> Result<Decision, Error> {
    let acquired = || {
        let first = match first {
            Some(first) => first,
            None => match Acquire::join(limiter, key, cost, max_wait)? {
                Some(waiting) => return waiting.block(),
                None => {
                    let notifications = limiter.queues().notifications();
                    let decision = limiter.handle(key, Operation::Take(cost))?;
                    First {
                        decision,
                        notifications,
                    }
                }
            },
        };
        match unless_waiting(limiter, key, max_wait, &first)? {
            Some(done) => Ok(done),
            None => Acquire::after(limiter, key, cost, max_wait, first)?.block(),
        }
    };
    limiter.recorded(key.map(Subject::Text), acquired(), |_| true)
}

/// As [`acquire_from`], without blocking the thread.
pub(crate) async fn acquire_async_from(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
    first: Option<First>,
) -> Result<Decision, Error> {
    let acquired = acquire_unrecorded_async(limiter, key, cost, max_wait, first).await;
    limiter.recorded(key.map(Subject::Text), acquired, |_| true)
}

/// As [`acquire_async_from`], for callers who record the decision themselves.
pub(crate) async fn acquire_unrecorded_async(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
    first: Option<First>,
) -> Result<Decision, Error> {
    let first = match first {
        Some(first) => first,
        None => match Acquire::join(limiter, key, cost, max_wait)? {
            Some(waiting) => return waiting.run().await,
            None => {
                let notifications = limiter.queues().notifications();
                let decision = limiter.take_async(key, cost).await?;
                First {
                    decision,
                    notifications,
                }
            }
        },
    };
    match unless_waiting(limiter, key, max_wait, &first)? {
        Some(done) => Ok(done),
        None => {
            Acquire::after(limiter, key, cost, max_wait, first)?
                .run()
                .await
        }
    }
}

/// The first decision about a call where that needs no waiting: not when the store is outside of the
/// process, and not when others wait for the key.
///
/// # Errors
/// When the call is refused.
pub(crate) fn first_decision(
    limiter: &Limiter,
    key: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Option<First>, Error> {
    if !limiter.is_immediate() || Acquire::would_queue(limiter, key, cost, max_wait) {
        return Ok(None);
    }
    let notifications = limiter.queues().notifications();
    let decision = limiter.handle(key, Operation::Take(cost))?;
    let first = First {
        decision,
        notifications,
    };
    unless_waiting(limiter, key, max_wait, &first)?;
    Ok(Some(first))
}

/// The decision, if it needs no waiting.
fn unless_waiting(
    limiter: &Limiter,
    key: Option<&str>,
    max_wait: MaxWait,
    first: &First,
) -> Result<Option<Decision>, Error> {
    let decision = first.decision;
    match (decision.allowed, max_wait) {
        _ if first.is_final() => Ok(Some(decision)),
        (false, MaxWait::None) => Err(limiter.denied(key, decision.retry_after)),
        _ => Ok(None),
    }
}

/// A call on its way to admission, with whatever it holds.
pub(crate) struct Acquire<'a> {
    limiter: &'a Limiter,
    user: Option<&'a str>,
    cost: u64,
    began: u64,
    deadline: u64,
    held: Held<'a>,
}

enum Held<'a> {
    Nothing,
    Place(LimitWaiter<'a>),
    /// The decision is what the call returns once its slot has come.
    Slot(SlotWaiter<'a>, Decision),
}

enum Next {
    Ask,
    Sleep(u64),
    Done(Decision),
}

impl<'a> Acquire<'a> {
    /// Joins the queue of the key if somebody waits there; `None` when the caller may ask at once.
    ///
    /// # Errors
    /// When those ahead alone take longer than the caller's max_wait, and for a cost that can
    /// never be admitted.
    pub(crate) fn join(
        limiter: &'a Limiter,
        user: Option<&'a str>,
        cost: u64,
        max_wait: MaxWait,
    ) -> Result<Option<Self>, Error> {
        if !Self::may_queue(limiter, cost, max_wait) {
            return Ok(None);
        }
        let Some(queue) = limiter.queues().get(user) else {
            return Ok(None);
        };
        if queue.is_empty() {
            return Ok(None);
        }
        limiter.check_cost(user, cost)?;
        let mut acquire = Self::new(limiter, user, cost, max_wait);
        if acquire.deadline != u64::MAX
            && let Some(ahead) = queue.head()
        {
            let now = acquire.began;
            acquire.check_deadline(now, acquire.earliest_behind(now, ahead))?;
        }
        let seen = acquire.queues().notifications();
        acquire.take_place(queue, 0, seen);
        Ok(Some(acquire))
    }

    /// Whether [`Acquire::join`] would find a queue to join.
    pub(crate) fn would_queue(
        limiter: &Limiter,
        user: Option<&str>,
        cost: u64,
        max_wait: MaxWait,
    ) -> bool {
        Self::may_queue(limiter, cost, max_wait) && limiter.queues().contains(user)
    }

    /// A call that takes nothing has nothing to wait for.
    fn may_queue(limiter: &Limiter, cost: u64, max_wait: MaxWait) -> bool {
        max_wait != MaxWait::None && cost > 0 && !limiter.queues().is_empty()
    }

    /// Goes on from a first decision that was not final.
    pub(crate) fn after(
        limiter: &'a Limiter,
        user: Option<&'a str>,
        cost: u64,
        max_wait: MaxWait,
        first: First,
    ) -> Result<Self, Error> {
        let mut acquire = Self::new(limiter, user, cost, max_wait);
        acquire.decided(first.decision, first.notifications)?;
        Ok(acquire)
    }

    fn new(limiter: &'a Limiter, user: Option<&'a str>, cost: u64, max_wait: MaxWait) -> Self {
        let began = limiter.clock().now();
        let deadline = match max_wait {
            MaxWait::AtMost(longest) => after(began, longest),
            MaxWait::None | MaxWait::Unbounded => u64::MAX,
        };
        Self {
            limiter,
            user,
            cost,
            began,
            deadline,
            held: Held::Nothing,
        }
    }

    fn queues(&self) -> &'a WaitQueues {
        self.limiter.queues()
    }

    fn take_place(&mut self, queue: LimitQueue<'a>, at: u64, seen: u64) {
        self.held = Held::Place(self.queues().join(queue, self.cost, at, seen));
    }

    /// Takes in what the store said; a decision when there is nothing more to wait for.
    fn decided(&mut self, decision: Decision, seen: u64) -> Result<Option<Decision>, Error> {
        let now = self.limiter.clock().now();
        if !decision.allowed {
            let at = after(now, decision.retry_after);
            self.check_deadline(now, after(at, self.queue_time()))?;
            match &self.held {
                Held::Place(waiter) => self.queues().ask_at(waiter, at, seen),
                _ => self.take_place(self.queues().enter(self.user), at, seen),
            }
            return Ok(None);
        }
        if decision.delay.is_zero() {
            return Ok(Some(decision));
        }
        let at = after(now, decision.delay);
        let plans = self.limiter.plans();
        let slot = self
            .queues()
            .hold_slot(self.user, &plans, at, self.cost, decision.reservation);
        // Replacing a place in the queue lets the next waiter ask.
        self.held = Held::Slot(slot, decision);
        self.check_deadline(now, at)?;
        Ok(None)
    }

    fn next(&self, waker: &Waker) -> Result<Next, Error> {
        let now = self.limiter.clock().now();
        Ok(match &self.held {
            Held::Nothing => Next::Ask,
            Held::Place(waiter) => match waiter.position(waker) {
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
            Held::Slot(waiter, decision) => match waiter.sleep_until(now, waker) {
                at if at <= now => Next::Done(*decision),
                at => Next::Sleep(at),
            },
        })
    }

    /// Before this the call cannot run, with these ahead of it.
    fn earliest_behind(&self, now: u64, ahead: QueueHead) -> u64 {
        let units = ahead.others.saturating_add(self.cost);
        let behind = algorithms::earliest_behind(&self.limiter.plans(), ahead.units, units);
        after(after(ahead.ask_at, behind).max(now), self.queue_time())
    }

    /// What a call that was refused by a full queue has to wait after it found room there.
    fn queue_time(&self) -> Duration {
        algorithms::queue_time(&self.limiter.plans(), self.cost)
    }

    fn check_deadline(&self, now: u64, at: u64) -> Result<(), Error> {
        if at <= self.deadline {
            return Ok(());
        }
        let retry_after = Duration::from_nanos(at.saturating_sub(now).max(1));
        Err(self.limiter.too_late(self.user, retry_after))
    }

    /// The slot has been used: there is nothing left to give back.
    fn done(mut self, decision: Decision) -> Decision {
        self.held = Held::Nothing;
        let waited = self.limiter.clock().now().saturating_sub(self.began);
        self.limiter
            .telemetry()
            .waited(Duration::from_nanos(waited));
        decision
    }

    fn block(mut self) -> Result<Decision, Error> {
        let waker = clock::waker_of_this_thread();
        loop {
            match self.next(&waker)? {
                Next::Done(decision) => return Ok(self.done(decision)),
                Next::Sleep(until) => self.limiter.clock().park_until(until),
                Next::Ask => {
                    let seen = self.queues().notifications();
                    let decision = self.limiter.handle(self.user, Operation::Take(self.cost))?;
                    if let Some(decision) = self.decided(decision, seen)? {
                        return Ok(self.done(decision));
                    }
                }
            }
        }
    }

    pub(crate) async fn run(mut self) -> Result<Decision, Error> {
        loop {
            if let Some(decision) = self.sleep().await? {
                return Ok(self.done(decision));
            }
            let seen = self.queues().notifications();
            let decision = self.limiter.take_async(self.user, self.cost).await?;
            if let Some(decision) = self.decided(decision, seen)? {
                return Ok(self.done(decision));
            }
        }
    }

    /// Sleeps until the call is done, whose decision is returned, or has to ask.
    async fn sleep(&self) -> Result<Option<Decision>, Error> {
        let clock = self.limiter.clock();
        let mut sleep: Option<(u64, Pin<Box<dyn Future<Output = ()> + Send>>)> = None;
        poll_fn(|context| {
            loop {
                let until = match self.next(context.waker())? {
                    Next::Ask => return Poll::Ready(Ok(None)),
                    Next::Done(decision) => return Poll::Ready(Ok(Some(decision))),
                    Next::Sleep(until) => until,
                };
                let (_, sleeping) = match &mut sleep {
                    Some(sleep) if sleep.0 == until => sleep,
                    sleep => sleep.insert((until, clock.sleep_until(until))),
                };
                if sleeping.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                sleep = None;
            }
        })
        .await
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Held::Slot(waiter, _) = std::mem::replace(&mut self.held, Held::Nothing) {
            waiter.abandon(|slot, units| self.limiter.release(self.user, slot, units));
        }
    }
}
