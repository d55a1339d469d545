//! From the first question to admission: one procedure for sync and async callers.
//!
//! [`Acquire`] is a small state machine that says what to do next: ask the store, sleep, or be
//! done. Two drivers below run it, one by parking the thread, one by awaiting. Whatever a caller
//! holds while it waits, a place in line or a reserved slot, is given back when it is dropped.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::algorithms;
use crate::clock::{self, after};
use crate::decision::Reservation;
use crate::gate::{Gate, Patience};
use crate::handler::Operation;
use crate::lines::{self, LineKey, Purpose, Standing, Ticket};
use crate::{Decision, Error};

/// Acquires on the calling thread.
pub(crate) fn acquire(
    gate: &Gate,
    user: Option<&str>,
    cost: u64,
    patience: Patience,
) -> Result<Decision, Error> {
    if let Some(waiting) = Acquire::join(gate, user, cost, patience)? {
        return waiting.block();
    }
    let decision = gate.handle(user, Operation::Take(cost))?;
    match shortcut(gate, user, patience, &decision)? {
        Some(done) => Ok(done),
        None => Acquire::after(gate, user, cost, patience, decision)?.block(),
    }
}

/// Acquires without blocking the thread; the caller awaits.
pub(crate) async fn acquire_async(
    gate: &Gate,
    user: Option<&str>,
    cost: u64,
    patience: Patience,
) -> Result<Decision, Error> {
    if let Some(waiting) = Acquire::join(gate, user, cost, patience)? {
        return waiting.run().await;
    }
    let decision = gate.take_async(user, cost).await?;
    match shortcut(gate, user, patience, &decision)? {
        Some(done) => Ok(done),
        None => {
            Acquire::after(gate, user, cost, patience, decision)?
                .run()
                .await
        }
    }
}

/// A decision that needs no waiting.
pub(crate) fn shortcut(
    gate: &Gate,
    user: Option<&str>,
    patience: Patience,
    decision: &Decision,
) -> Result<Option<Decision>, Error> {
    match (decision.allowed, patience) {
        (true, _) if decision.delay.is_zero() => Ok(Some(*decision)),
        (false, Patience::None) => Err(gate.denied(user, decision)),
        _ => Ok(None),
    }
}

/// A call on its way to admission, with whatever it holds.
pub(crate) struct Acquire<'a> {
    gate: &'a Gate,
    user: Option<&'a str>,
    cost: u64,
    deadline: u64,
    held: Held,
}

enum Held {
    Nothing,
    Place(Ticket),
    /// The decision is what the call returns once its slot has come.
    Slot(Ticket, Decision),
}

enum Next {
    Ask,
    Sleep(u64),
    Done(Decision),
}

impl<'a> Acquire<'a> {
    /// Joins the line if there is one; `None` when the caller may ask at once.
    ///
    /// # Errors
    /// When those ahead alone take longer than the caller's patience.
    pub(crate) fn join(
        gate: &'a Gate,
        user: Option<&'a str>,
        cost: u64,
        patience: Patience,
    ) -> Result<Option<Self>, Error> {
        if patience == Patience::None || !lines::any() {
            return Ok(None);
        }
        let key = line_key(gate, user, Purpose::Admission);
        let Some(ahead) = lines::ahead(&key) else {
            return Ok(None);
        };
        let mut acquire = Self::new(gate, user, cost, patience);
        let behind = ahead.others.saturating_add(cost);
        let now = gate.clock().now();
        let earliest = after(
            ahead.head_at.max(now),
            algorithms::earliest_behind(gate.plans(), ahead.head, behind),
        );
        acquire.check_deadline(now, earliest)?;
        acquire.held = Held::Place(Ticket::join(key, cost, 0, Reservation::default()));
        Ok(Some(acquire))
    }

    /// Whether [`Acquire::join`] would find a line to join.
    pub(crate) fn would_queue(gate: &Gate, user: Option<&str>, patience: Patience) -> bool {
        patience != Patience::None
            && lines::any()
            && lines::ahead(&line_key(gate, user, Purpose::Admission)).is_some()
    }

    /// Goes on from a first decision that was not final.
    pub(crate) fn after(
        gate: &'a Gate,
        user: Option<&'a str>,
        cost: u64,
        patience: Patience,
        decision: Decision,
    ) -> Result<Self, Error> {
        let mut acquire = Self::new(gate, user, cost, patience);
        acquire.decided(decision)?;
        Ok(acquire)
    }

    fn new(gate: &'a Gate, user: Option<&'a str>, cost: u64, patience: Patience) -> Self {
        let deadline = match patience {
            Patience::AtMost(longest) => after(gate.clock().now(), longest),
            Patience::None | Patience::Unbounded => u64::MAX,
        };
        Self {
            gate,
            user,
            cost,
            deadline,
            held: Held::Nothing,
        }
    }

    /// Takes in what the store said; a decision when there is nothing more to wait for.
    fn decided(&mut self, decision: Decision) -> Result<Option<Decision>, Error> {
        let now = self.gate.clock().now();
        if !decision.allowed {
            let at = after(now, decision.retry_after);
            self.check_deadline(now, at)?;
            match &self.held {
                Held::Place(ticket) => ticket.ask_at(at),
                _ => {
                    let key = line_key(self.gate, self.user, Purpose::Admission);
                    let ticket = Ticket::join(key, self.cost, at, decision.reservation);
                    self.held = Held::Place(ticket);
                }
            }
            return Ok(None);
        }
        if decision.delay.is_zero() {
            return Ok(Some(decision));
        }
        let at = after(now, decision.delay);
        let key = line_key(self.gate, self.user, Purpose::Slot);
        let ticket = Ticket::join(key, self.cost, at, decision.reservation);
        // Replacing a place in line lets the next one ask.
        self.held = Held::Slot(ticket, decision);
        self.check_deadline(now, at)?;
        Ok(None)
    }

    fn next(&self, waker: &Waker) -> Result<Next, Error> {
        let now = self.gate.clock().now();
        Ok(match &self.held {
            Held::Nothing => Next::Ask,
            Held::Place(ticket) => match ticket.standing(waker) {
                Standing::Head(at) if at <= now => Next::Ask,
                Standing::Head(at) => Next::Sleep(at),
                Standing::Behind => {
                    if now >= self.deadline {
                        self.check_deadline(now, self.deadline.saturating_add(1))?;
                    }
                    Next::Sleep(self.deadline)
                }
            },
            Held::Slot(ticket, decision) => match ticket.standing(waker) {
                Standing::Head(at) if at <= now => Next::Done(*decision),
                Standing::Head(at) => Next::Sleep(at),
                Standing::Behind => Next::Sleep(u64::MAX),
            },
        })
    }

    fn check_deadline(&self, now: u64, at: u64) -> Result<(), Error> {
        if at <= self.deadline {
            return Ok(());
        }
        let retry_after = Duration::from_nanos(at.saturating_sub(now).max(1));
        Err(self.gate.too_late(self.user, retry_after))
    }

    /// The slot has been used: there is nothing left to give back.
    fn done(mut self, decision: Decision) -> Decision {
        self.held = Held::Nothing;
        decision
    }

    fn block(mut self) -> Result<Decision, Error> {
        let waker = clock::waker_of_this_thread();
        loop {
            match self.next(&waker)? {
                Next::Done(decision) => return Ok(self.done(decision)),
                Next::Sleep(until) => self.gate.clock().park_until(until),
                Next::Ask => {
                    let decision = self.gate.handle(self.user, Operation::Take(self.cost))?;
                    if let Some(decision) = self.decided(decision)? {
                        return Ok(self.done(decision));
                    }
                }
            }
        }
    }

    pub(crate) async fn run(mut self) -> Result<Decision, Error> {
        loop {
            match poll_fn(|context| Poll::Ready(self.next(context.waker()))).await? {
                Next::Done(decision) => return Ok(self.done(decision)),
                Next::Sleep(until) => self.sleep_until(until).await,
                Next::Ask => {
                    let decision = self.gate.take_async(self.user, self.cost).await?;
                    if let Some(decision) = self.decided(decision)? {
                        return Ok(self.done(decision));
                    }
                }
            }
        }
    }

    /// Until the time has come or the standing has changed.
    async fn sleep_until(&self, until: u64) {
        let mut sleep = pin!(match until {
            u64::MAX => None,
            until => Some(self.gate.clock().sleep_until(until)),
        });
        poll_fn(|context| {
            let asleep = match self.next(context.waker()) {
                Ok(Next::Sleep(now_until)) => now_until == until,
                _ => false,
            };
            if !asleep {
                return Poll::Ready(());
            }
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Held::Slot(ticket, _) = std::mem::replace(&mut self.held, Held::Nothing)
            && let Some((slot, cost)) = ticket.abandon()
        {
            self.gate.release(self.user, slot, cost);
        }
    }
}

fn line_key(gate: &Gate, user: Option<&str>, purpose: Purpose) -> LineKey {
    Arc::new((
        gate.store_id(),
        purpose,
        gate.prefix().into(),
        user.map(Into::into),
    ))
}
