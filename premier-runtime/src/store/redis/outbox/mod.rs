//! Calls on their way to the server, and how many of them leave together.
//!
//! A call that comes while fewer than two scripts of its kind are in flight leaves at once. Other calls wait until
//! one of the scripts returns, a millisecond has passed, or there are enough for a full batch, whichever comes
//! first, and leave together. Callers never wait for the driver longer than the timeout: the timer thread answers
//! them.

mod deadlines;
mod sending;
mod sent;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, oneshot};

use super::answer::{Answer, Caller, Decided, Sender};
use super::check::Check;
use super::denials::Denials;
use super::few::Few;
use super::kind::{Kind, MAX_CALLS};
use super::leases::Leases;
use super::link::Link;
use crate::algorithms::State;
use crate::clock::{Clock, after, real_now};
use crate::limit::decision::Decision;
use crate::store::request::Operation;
use crate::sync::lock_std;

/// The number of scripts of a kind that may be in flight before calls wait for a batch.
const IN_FLIGHT: usize = 2;

/// The longest time that calls wait for a batch. Without it, they would wait longer on a slow network.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

/// The calls of a handler that have no answer yet.
pub(in crate::store::redis) struct Outbox {
    link: Arc<Link>,
    pub(in crate::store::redis) timeout: Duration,
    queues: Mutex<Queues>,
    /// Wakes the driver when there are calls to send.
    ready: Notify,
    pub(in crate::store::redis) denials: Denials,
    pub(in crate::store::redis) leases: Leases,
    /// The clock to decide by, if it is not the server's.
    pub(in crate::store::redis) clock: Option<Arc<dyn Clock>>,
}

/// The callers of a batch.
type Callers = Arc<Mutex<Vec<Caller>>>;

#[derive(Default)]
struct Queues {
    /// One for each [`Kind`].
    together: [Queue; Kind::ALL.len()],
    /// Calls that leave alone.
    alone: Vec<(Box<Check>, Caller)>,
    /// The callers of the batches that have left.
    sent: Slab<Callers>,
    is_watched: bool,
    /// Whether a task refunds unused leased units.
    has_sweeper: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Box<Check>, Caller)>,
    in_flight: usize,
    /// When a batch left last, in nanoseconds of [`real_now`].
    left: u64,
}

impl Queue {
    fn can_leave(&self) -> bool {
        !self.waiting.is_empty()
            && (self.in_flight < IN_FLIGHT
                || self.waiting.len() >= MAX_CALLS
                || real_now() >= after(self.left, LONGEST_WAIT))
    }
}

impl Outbox {
    pub(in crate::store::redis) fn new(
        link: &Arc<Link>,
        denials: Denials,
        clock: Option<Arc<dyn Clock>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            timeout: link.timeout,
            link: Arc::clone(link),
            queues: Mutex::default(),
            ready: Notify::new(),
            denials,
            leases: Leases::default(),
            clock,
        })
    }

    /// Sends a call. Returns the receiver of its decisions, or of the reason why there are none, within the
    /// timeout; and whether the call has woken the driver.
    pub(in crate::store::redis) fn ask(
        self: &Arc<Self>,
        check: Box<Check>,
    ) -> (oneshot::Receiver<Answer>, bool) {
        let (caller, answer) = oneshot::channel();
        let deadline = after(real_now(), self.timeout);
        let wakes_driver = self.push(check, Caller::Waits(caller, deadline));
        (answer, wakes_driver)
    }

    /// Sends a call. Returns whether it has woken the driver.
    pub(in crate::store::redis) fn push(
        self: &Arc<Self>,
        check: Box<Check>,
        caller: Caller,
    ) -> bool {
        self.invalidate_changed(&check);
        let watch_until = match caller {
            Caller::Waits(_, deadline) => Some(deadline),
            Caller::Nobody | Caller::Gone => None,
        };
        let kind = Kind::of(&check);
        let mut queues = lock_std(&self.queues);
        let wakes_driver = match kind {
            Some(kind) => {
                let queue = &mut queues.together[kind as usize];
                queue.waiting.push((check, caller));
                // The driver measures how long the first call waits.
                queue.waiting.len() == 1 || queue.can_leave()
            }
            None => {
                queues.alone.push((check, caller));
                true
            }
        };
        let watch_until = watch_until.filter(|_| !queues.is_watched);
        queues.is_watched |= watch_until.is_some();
        drop(queues);
        if wakes_driver {
            self.ready.notify_one();
        }
        if let Some(deadline) = watch_until {
            self.watch(deadline);
        }
        wakes_driver
    }

    fn invalidate_changed(&self, check: &Check) {
        if check
            .requests
            .iter()
            .any(|request| request.operation == Operation::Reset)
        {
            check.ids.iter().for_each(|key| self.leases.forget(*key));
        }
        if check.may_refund() {
            check
                .ids
                .iter()
                .for_each(|key| self.denials.invalidate(*key));
        }
    }

    /// Sends a call that the lean script could not decide.
    fn push_alone(&self, check: Box<Check>, caller: Caller) {
        lock_std(&self.queues).alone.push((check, caller));
        self.ready.notify_one();
    }

    /// Sends a caller its decisions. `state` is the state by which a call of one limit was denied.
    fn deliver(
        self: &Arc<Self>,
        caller: Caller,
        check: Box<Check>,
        decisions: Few<Decision>,
        state: Option<(State, u64)>,
    ) {
        match (check.snapshot, &*check.ids, &*check.requests, &*decisions) {
            (_, keys, _, decisions) if decisions.iter().all(|decision| decision.allowed) => {
                keys.iter().for_each(|key| self.denials.remove(*key));
            }
            (Some(snapshot), [key], [request], [decision]) => {
                let request = (&request.plans, request.operation);
                self.denials
                    .insert(*key, snapshot, request, decision, state);
            }
            _ => {}
        }
        let sender = Arc::clone(self) as Arc<dyn Sender>;
        caller.answer(Ok(Decided::new(decisions, check, sender)));
    }

    /// The time for leases and denials, in nanoseconds. Rounded down to whole microseconds, in which the server
    /// counts.
    pub(in crate::store::redis) fn now(&self) -> u64 {
        self.user_time().unwrap_or_else(real_now) / 1_000 * 1_000
    }

    /// Ends the task that refunds leased units, unless units were leased meanwhile. Returns whether it ends.
    pub(in crate::store::redis) fn needs_no_sweeper(&self) -> bool {
        let mut queues = lock_std(&self.queues);
        queues.has_sweeper = !self.leases.end_use();
        !queues.has_sweeper
    }

    /// Whether every call has its answer.
    pub(in crate::store::redis) fn is_empty(&self) -> bool {
        let queues = lock_std(&self.queues);
        let mut waiting = queues.together.iter().map(|queue| queue.waiting.len());
        queues.alone.is_empty() && queues.sent.is_empty() && waiting.all(|count| count == 0)
    }
}

impl Sender for Outbox {
    fn user_time(&self) -> Option<u64> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    fn send(self: Arc<Self>, check: Box<Check>) {
        self.push(check, Caller::Nobody);
    }
}
