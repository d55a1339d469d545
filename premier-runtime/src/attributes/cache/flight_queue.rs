//! The callers that wait for one value. The first of them computes it, and the others get the outcome.

use std::any::TypeId;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::arguments::KeptArguments;
use super::call_key::CallKey;
use super::codec::CacheValue;
use super::entry::StoredValue;
use super::failure::Failure;
use crate::clock::SteadyClock;
use crate::limiter::wait_queue::{Position, QueueMap, QueueRef, WaitQueue, Waiter};

/// The queues of one cache.
#[derive(Debug, Default)]
pub(super) struct FlightQueues(QueueMap<FlightKind, FlightQueue>);

/// What distinguishes the queues of one text: the type of the value, and the hash of the arguments where the text
/// does not identify them.
type FlightKind = (TypeId, u64);

/// The callers that wait for one value.
#[derive(Debug, Default)]
struct FlightQueue {
    callers: WaitQueue,
    /// Set at most once. Callers that come afterwards are in another queue.
    outcome: OnceLock<Outcome>,
}

/// The outcome of a computation, for the callers that have waited for it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// A value, and the instant before it was computed or loaded from the shared store.
    Value { value: StoredValue, since: u64 },
    /// The computation failed, with these arguments where the text does not identify them.
    Failure {
        failure: Failure,
        arguments: Option<Arc<KeptArguments>>,
    },
    /// The key was invalidated. Only the caller that computes gets the value.
    Invalidated,
}

/// How waiting has ended.
#[derive(Debug)]
pub(super) enum Turn {
    /// This caller is the first in the queue: it has to compute the value.
    First,
    /// Another caller has computed the value, or has failed to.
    Ended(Outcome),
    /// The deadline has passed.
    Late,
}

/// The place of one caller. If the first one drops its place without an outcome, because it was cancelled or has
/// panicked, the next one is the first.
#[derive(Debug)]
pub(super) struct QueuePlace(Waiter<FlightQueueRef>);

#[derive(Debug)]
struct FlightQueueRef(QueueRef<'static, FlightKind, FlightQueue>);

impl Deref for FlightQueueRef {
    type Target = WaitQueue;

    fn deref(&self) -> &WaitQueue {
        &self.0.callers
    }
}

fn kind<T: CacheValue>(key: &CallKey) -> FlightKind {
    let arguments = key.arguments.as_deref();
    (TypeId::of::<T>(), arguments.map_or(0, KeptArguments::hash))
}

impl FlightQueues {
    /// Whether a caller computes the value of a key now.
    pub(super) fn is_occupied<T: CacheValue>(&self, key: &CallKey) -> bool {
        self.0.contains(kind::<T>(key), Some(&key.text))
    }

    /// Joins the end of the queue of a key.
    pub(super) fn join<T: CacheValue>(&'static self, key: &CallKey) -> QueuePlace {
        let queue = self.0.enter(kind::<T>(key), Some(&key.text));
        QueuePlace(Waiter::join(FlightQueueRef(queue), 1, 0))
    }

    /// Callers of an invalidated key no longer wait for the computation that runs now.
    pub(super) fn invalidate(&self, key: &str) {
        self.end(|other| other == Some(key));
    }

    /// As [`FlightQueues::invalidate`], for all keys.
    pub(super) fn clear(&self) {
        self.end(|_| true);
    }

    fn end(&self, matches: impl Fn(Option<&str>) -> bool) {
        for queue in self.0.detach(matches) {
            if queue.outcome.set(Outcome::Invalidated).is_ok() {
                queue.callers.wake_all();
            }
        }
    }
}

impl QueuePlace {
    /// Blocks the thread until it is this caller's turn, or there is an outcome.
    pub(super) fn wait(&self, clock: &SteadyClock, deadline: u64) -> Turn {
        let turn = |position| self.turn(position);
        self.0.until(clock, deadline, turn).unwrap_or(Turn::Late)
    }

    /// Waits as [`QueuePlace::wait`] does, without blocking the thread.
    pub(super) async fn wait_async(&self, clock: &SteadyClock, deadline: u64) -> Turn {
        let turn = |position| self.turn(position);
        let turn = self.0.until_async(clock, deadline, turn).await;
        turn.unwrap_or(Turn::Late)
    }

    fn turn(&self, position: Position) -> Option<Turn> {
        match (self.queue().outcome.get(), position) {
            (Some(outcome), _) => Some(Turn::Ended(outcome.clone())),
            (None, Position::Head(_)) => Some(Turn::First),
            (None, Position::Behind) => None,
        }
    }

    /// Whether no other caller waits in the queue now.
    pub(super) fn is_alone(&self) -> bool {
        self.0.is_alone()
    }

    /// Publishes the outcome to the waiting callers. Later callers enter another queue.
    pub(super) fn end(&self, outcome: Outcome) {
        self.0.queue().0.detach();
        if self.queue().outcome.set(outcome).is_ok() {
            self.0.wake_others();
        }
    }

    /// Leaves a queue whose first caller takes too long, and closes it to later callers. Returns the place in their
    /// queue if this caller is the first there.
    pub(super) fn overtake<T: CacheValue>(
        self,
        queues: &'static FlightQueues,
        key: &CallKey,
    ) -> Option<Self> {
        self.0.queue().0.detach();
        drop(self);
        let place = queues.join::<T>(key);
        let is_first = matches!(
            place.0.position(std::task::Waker::noop()),
            Position::Head(_)
        );
        is_first.then_some(place)
    }

    fn queue(&self) -> &FlightQueue {
        &self.0.queue().0
    }
}
