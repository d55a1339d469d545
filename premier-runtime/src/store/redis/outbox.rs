//! Calls on their way to the server, and how many of them leave together.
//!
//! A call that comes while fewer than two scripts of its kind are in flight leaves at once. Others wait for
//! one of these to return, for a millisecond, or until there are enough for a full batch, whichever comes
//! first, and leave together. Callers never wait for the driver longer than the timeout: the timer thread looks
//! after them.

use std::iter::repeat_with;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use redis::Value;
use slab::Slab;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::answer::{Answer, Caller, Decided, Sender};
use super::check::Check;
use super::denials::Denials;
use super::failure::describe;
use super::few::Few;
use super::keys;
use super::kind::{Kind, MAX_CALLS};
use super::lean::{Answered, Batch};
use super::leases::Leases;
use super::link::{Link, no_answer_within};
use super::lock::lock;
use super::script;
use crate::algorithms::State;
use crate::clock::{Clock, after, real_now, wake_at};
use crate::limit::decision::Decision;
use crate::store::request::Operation;

/// How many scripts of a kind are in flight before calls wait for each other.
const IN_FLIGHT: usize = 2;

/// How long calls wait for each other, because a slow network is no reason to wait.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

/// The calls of a handler that have no answer yet.
pub(super) struct Outbox {
    link: Arc<Link>,
    pub(super) timeout: Duration,
    queues: Mutex<Queues>,
    /// Wakes the driver when there are calls to send.
    ready: Notify,
    pub(super) denials: Denials,
    pub(super) leases: Leases,
    /// The clock to decide by, if it is not the server's.
    pub(super) clock: Option<Arc<dyn Clock>>,
}

#[derive(Default)]
struct Queues {
    /// One for each [`Kind`].
    together: [Queue; Kind::ALL.len()],
    /// Calls that leave alone.
    alone: Vec<(Box<Check>, Caller)>,
    /// The callers of the batches that have left.
    sent: Slab<Callers>,
    is_watched: bool,
    /// Whether a task gives back what was taken ahead and is not used.
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
    pub(super) fn new(
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

    /// Sends a call and returns where its decisions will be, or the reason why there are none, within the
    /// timeout; and whether the call has woken the driver.
    pub(super) fn ask(self: &Arc<Self>, check: Box<Check>) -> (oneshot::Receiver<Answer>, bool) {
        let (caller, answer) = oneshot::channel();
        let deadline = after(real_now(), self.timeout);
        let wakes_driver = self.push(check, Caller::Waits(caller, deadline));
        (answer, wakes_driver)
    }

    /// Sends a call. Returns whether it has woken the driver.
    pub(super) fn push(self: &Arc<Self>, check: Box<Check>, caller: Caller) -> bool {
        self.forget_what_changes(&check);
        let watch_until = match caller {
            Caller::Waits(_, deadline) => Some(deadline),
            Caller::Nobody | Caller::Gone => None,
        };
        let kind = Kind::of(&check);
        let mut queues = lock(&self.queues);
        let wakes_driver = match kind {
            Some(kind) => {
                let queue = &mut queues.together[kind as usize];
                queue.waiting.push((check, caller));
                // The driver measures how long the first waits.
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

    fn forget_what_changes(&self, check: &Check) {
        if check
            .asked
            .iter()
            .any(|asked| asked.operation == Operation::Reset)
        {
            check.ids.iter().for_each(|key| self.leases.forget(*key));
        }
        if check.may_give_back() {
            check.ids.iter().for_each(|key| self.denials.forget(*key));
        }
    }

    /// Sends a call that the lean script could not decide.
    fn push_alone(&self, check: Box<Check>, caller: Caller) {
        lock(&self.queues).alone.push((check, caller));
        self.ready.notify_one();
    }

    /// Sends calls as they come, on the driver's runtime.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            match self.send_all() {
                // The time is up for those that wait.
                true => drop(timeout(LONGEST_WAIT, self.ready.notified()).await),
                false => self.ready.notified().await,
            }
        }
    }

    /// Sends the calls that need not wait. Returns whether others wait.
    fn send_all(self: &Arc<Self>) -> bool {
        let mut queues = lock(&self.queues);
        if !queues.has_sweeper && self.leases.are_used() {
            queues.has_sweeper = true;
            tokio::spawn(Arc::clone(self).sweep());
        }
        for (check, caller) in std::mem::take(&mut queues.alone) {
            let sent = Sent::new(self, &mut queues, None, vec![caller]);
            tokio::spawn(sent.alone(check));
        }
        for kind in Kind::ALL {
            while queues.together[kind as usize].can_leave() {
                let queue = &mut queues.together[kind as usize];
                let last = queue.waiting.len().min(MAX_CALLS);
                let leaving = queue.waiting.drain(..last).collect();
                queue.left = real_now();
                for together in self.by_slot(leaving) {
                    let (checks, callers) = together.into_iter().unzip();
                    let sent = Sent::new(self, &mut queues, Some(kind), callers);
                    tokio::spawn(sent.together(kind, checks));
                }
            }
        }
        let mut queues = queues.together.iter();
        queues.any(|queue| !queue.waiting.is_empty())
    }

    /// Calls that one script can decide: those whose keys are in one slot of a cluster.
    fn by_slot(&self, mut checks: Vec<(Box<Check>, Caller)>) -> Vec<Vec<(Box<Check>, Caller)>> {
        if !self.link.target.is_cluster() {
            return vec![checks];
        }
        let slot =
            |(check, _): &(Box<Check>, Caller)| check.keys.first().map(|key| keys::slot(key));
        checks.sort_by_cached_key(slot);
        let mut groups: Vec<Vec<(Box<Check>, Caller)>> = Vec::new();
        for check in checks {
            match groups.last_mut() {
                Some(group) if group.first().and_then(slot) == slot(&check) => group.push(check),
                _ => groups.push(vec![check]),
            }
        }
        groups
    }

    /// Sends a caller what has been decided. `state` is that by which a call of one limit was denied.
    fn deliver(
        self: &Arc<Self>,
        caller: Caller,
        check: Box<Check>,
        decisions: Few<Decision>,
        state: Option<(State, u64)>,
    ) {
        match (check.question, &*check.ids, &*check.asked, &*decisions) {
            (_, keys, _, decisions) if decisions.iter().all(|decision| decision.allowed) => {
                keys.iter().for_each(|key| self.denials.outdate(*key));
            }
            (Some(question), [key], [asked], [decision]) => {
                let asked = (&asked.plans, asked.operation);
                self.denials.note(*key, question, asked, decision, state);
            }
            _ => {}
        }
        let sender = Arc::clone(self) as Arc<dyn Sender>;
        caller.answer(Ok(Decided::new(decisions, check, sender)));
    }

    /// The time by which units lapse and denials end, in nanoseconds of whole microseconds, which is how the
    /// server counts it.
    pub(super) fn now(&self) -> u64 {
        let now = self
            .clock
            .as_ref()
            .map_or_else(real_now, |clock| clock.now());
        now / 1_000 * 1_000
    }

    /// Ends the sweeping, unless units have come meanwhile.
    pub(super) fn needs_no_sweeper(&self) -> bool {
        let mut queues = lock(&self.queues);
        queues.has_sweeper = !self.leases.end_use();
        !queues.has_sweeper
    }

    /// Whether every call has its answer.
    pub(super) fn is_empty(&self) -> bool {
        let queues = lock(&self.queues);
        let mut waiting = queues.together.iter().map(|queue| queue.waiting.len());
        queues.alone.is_empty() && queues.sent.is_empty() && waiting.all(|count| count == 0)
    }

    /// Has the timer thread look for callers that have waited long enough.
    fn watch(self: &Arc<Self>, deadline: u64) {
        let watch = Watch(Arc::downgrade(self));
        wake_at(deadline, Waker::from(Arc::new(watch)));
    }

    /// Answers the callers whose deadline has passed with an error, and returns the earliest deadline of the others.
    fn expire(&self, now: u64) -> Option<u64> {
        let mut expired = Vec::new();
        let mut next = None;
        let mut queues = lock(&self.queues);
        let mut look = |caller: &mut Caller| match caller {
            Caller::Waits(_, deadline) if *deadline <= now => {
                expired.push(std::mem::replace(caller, Caller::Gone));
            }
            Caller::Waits(_, deadline) => next = Some(next.unwrap_or(u64::MAX).min(*deadline)),
            Caller::Nobody | Caller::Gone => {}
        };
        let Queues {
            alone, together, ..
        } = &mut *queues;
        let waiting = together.iter_mut().flat_map(|queue| &mut queue.waiting);
        for (_, caller) in alone.iter_mut().chain(waiting) {
            look(caller);
        }
        for (_, callers) in &queues.sent {
            lock(callers).iter_mut().for_each(&mut look);
        }
        queues.is_watched = next.is_some();
        drop(queues);
        for caller in expired {
            caller.answer(Err(no_answer_within(self.timeout)));
        }
        next
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

struct Watch(Weak<Outbox>);

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(outbox) = self.0.upgrade()
            && let Some(next) = outbox.expire(real_now())
        {
            wake_at(next, Waker::from(self));
        }
    }
}

type Callers = Arc<Mutex<Vec<Caller>>>;

/// The callers of calls that have left together.
struct Sent {
    outbox: Arc<Outbox>,
    /// `None` for a call that has left alone.
    kind: Option<Kind>,
    callers: Callers,
    number: usize,
}

impl Sent {
    fn new(
        outbox: &Arc<Outbox>,
        queues: &mut Queues,
        kind: Option<Kind>,
        callers: Vec<Caller>,
    ) -> Self {
        let callers = Arc::new(Mutex::new(callers));
        if let Some(kind) = kind {
            queues.together[kind as usize].in_flight += 1;
        }
        Self {
            outbox: Arc::clone(outbox),
            kind,
            number: queues.sent.insert(Arc::clone(&callers)),
            callers,
        }
    }

    /// Has calls decided by a lean script.
    #[expect(
        clippy::vec_box,
        reason = "a check is large, and moves from place to place"
    )]
    async fn together(self, kind: Kind, checks: Vec<Box<Check>>) {
        let mut batch = Batch::new(kind);
        let key = checks.first().and_then(|check| check.keys.first());
        let reply = self
            .outbox
            .link
            .run(key.map(String::as_str), async |session| {
                // Not before there is a connection, because callers may have gone meanwhile.
                for (check, caller) in checks.iter().zip(&*lock(&self.callers)) {
                    match caller.is_gone() {
                        true => batch.skip(),
                        false => batch.push(check),
                    }
                }
                match batch.is_empty() {
                    true => Ok(Value::Nil),
                    false => {
                        session
                            .eval(kind.script(), |command| batch.write(command))
                            .await
                    }
                }
            });
        let decided = match reply.await {
            Ok(Value::Nil) => return,
            Ok(reply) => batch.read(reply).map_err(describe),
            Err(failure) => Err(failure),
        };
        let decided = decided.map(|calls| {
            // The calls of a caller that has gone, and those that the others do not go with, have none.
            calls.into_iter().chain(repeat_with(|| None))
        });
        let (mut decided, failure) = match decided {
            Ok(decided) => (Some(decided), None),
            Err(failure) => (None, Some(failure)),
        };
        let callers = std::mem::take(&mut *lock(&self.callers));
        for (check, caller) in checks.into_iter().zip(callers) {
            match decided.as_mut().and_then(Iterator::next).flatten() {
                answered if check.fetch.is_some() => self.outbox.fetched(&check, answered),
                Some(Answered {
                    decisions, state, ..
                }) => {
                    self.outbox.deliver(caller, check, decisions, state);
                }
                None if caller.is_gone() => {}
                None => match &failure {
                    Some(failure) => caller.answer(Err(failure.clone())),
                    None => self.outbox.push_alone(check, caller),
                },
            }
        }
    }

    /// Has a call decided by the script that knows all limits and operations.
    async fn alone(self, check: Box<Check>) {
        let key = check.keys.first().map(String::as_str);
        let reply = self.outbox.link.run(key, async |session| {
            if lock(&self.callers).iter().all(Caller::is_gone) {
                return Ok(Value::Nil);
            }
            session
                .eval(script::script(&check), |command| {
                    script::write(&check, command);
                })
                .await
        });
        let decided = match reply.await {
            Ok(Value::Nil) => return,
            Ok(reply) => script::read(&check, reply).map_err(describe),
            Err(failure) => Err(failure),
        };
        // Once more: a call that came meanwhile may have been denied before this one was decided.
        self.outbox.forget_what_changes(&check);
        let caller = lock(&self.callers).pop();
        match (caller, decided) {
            // Nobody wants to know.
            (None | Some(Caller::Nobody), _) => {}
            (Some(caller), Ok(decisions)) => {
                self.outbox.deliver(caller, check, decisions, None);
            }
            (Some(caller), Err(failure)) => caller.answer(Err(failure)),
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut queues = lock(&self.outbox.queues);
        queues.sent.remove(self.number);
        if let Some(kind) = self.kind {
            queues.together[kind as usize].in_flight -= 1;
        }
        drop(queues);
        self.outbox.ready.notify_one();
    }
}
