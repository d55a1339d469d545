//! From the first question to admission: one procedure for sync and async callers.
//!
//! [`Acquire`] is a small state machine that says what to do next: ask the store, sleep, or be
//! done. Two drivers below run it, one by parking the thread, one by awaiting. Whatever a caller
//! holds while it waits, a place in a queue or a reserved slot, is given back when it is dropped.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::after;
use crate::error::Error;
use crate::limit::decision::Decision;
use crate::limiter::max_wait::MaxWait;
use crate::limiter::named::Limiter;
use crate::limiter::wait_queue::{
    LimitQueue, LimitWaiter, Position, QueueHead, SlotWaiter, WaitQueues,
};
use crate::store::request::Operation;
use crate::{algorithms, clock};

/// Acquires on the calling thread.
pub(crate) fn acquire(
    limiter: &Limiter,
    user: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    limiter.tell(user, acquire_untold(limiter, user, cost, max_wait), |_| {
        true
    })
}

fn acquire_untold(
    limiter: &Limiter,
    user: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    if let Some(waiting) = Acquire::join(limiter, user, cost, max_wait)? {
        return waiting.block();
    }
    let seen = limiter.queues().notifications();
    let decision = limiter.handle(user, Operation::Take(cost))?;
    match shortcut(limiter, user, max_wait, &decision)? {
        Some(done) => Ok(done),
        None => Acquire::after(limiter, user, cost, max_wait, decision, seen)?.block(),
    }
}

/// Acquires without blocking the thread; the caller awaits.
pub(crate) async fn acquire_async(
    limiter: &Limiter,
    user: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    let acquired = acquire_untold_async(limiter, user, cost, max_wait).await;
    limiter.tell(user, acquired, |_| true)
}

/// The same, for callers who tell of it themselves.
pub(crate) async fn acquire_untold_async(
    limiter: &Limiter,
    user: Option<&str>,
    cost: u64,
    max_wait: MaxWait,
) -> Result<Decision, Error> {
    if let Some(waiting) = Acquire::join(limiter, user, cost, max_wait)? {
        return waiting.run().await;
    }
    let seen = limiter.queues().notifications();
    let decision = limiter.take_async(user, cost).await?;
    match shortcut(limiter, user, max_wait, &decision)? {
        Some(done) => Ok(done),
        None => {
            Acquire::after(limiter, user, cost, max_wait, decision, seen)?
                .run()
                .await
        }
    }
}

/// A decision that needs no waiting.
pub(crate) fn shortcut(
    limiter: &Limiter,
    user: Option<&str>,
    max_wait: MaxWait,
    decision: &Decision,
) -> Result<Option<Decision>, Error> {
    match (decision.allowed, max_wait) {
        (true, _) if decision.delay.is_zero() => Ok(Some(*decision)),
        (false, MaxWait::None) => Err(limiter.denied(user, decision)),
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

    /// Goes on from a first decision that was not final, made after `seen` notifications.
    pub(crate) fn after(
        limiter: &'a Limiter,
        user: Option<&'a str>,
        cost: u64,
        max_wait: MaxWait,
        decision: Decision,
        seen: u64,
    ) -> Result<Self, Error> {
        let mut acquire = Self::new(limiter, user, cost, max_wait);
        acquire.decided(decision, seen)?;
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
            .hold_slot(self.user, plans, at, self.cost, decision.reservation);
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
        let behind = algorithms::earliest_behind(self.limiter.plans(), ahead.units, units);
        after(after(ahead.ask_at, behind).max(now), self.queue_time())
    }

    /// What a call that was refused by a full queue has to wait after it found room there.
    fn queue_time(&self) -> Duration {
        algorithms::queue_time(self.limiter.plans(), self.cost)
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
