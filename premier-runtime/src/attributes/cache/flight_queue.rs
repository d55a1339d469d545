//! The queues of callers that wait for one value. Only the first of them computes it.

use std::any::TypeId;

use super::codec::CacheValue;
use crate::clock::SteadyClock;
use crate::limiter::wait_queue::{QueueMap, QueueRef, WaitQueue, Waiter};

/// The queues of one cache. Values of different types have different queues.
#[derive(Debug, Default)]
pub(super) struct FlightQueues(QueueMap<TypeId, WaitQueue>);

/// The place of one caller. Dropping it lets the next caller take its turn.
#[derive(Debug)]
pub(super) struct QueuePlace(Waiter<QueueRef<'static, TypeId, WaitQueue>>);

impl FlightQueues {
    /// Whether a caller computes the value of a key now.
    pub(super) fn is_occupied<T: CacheValue>(&self, key: &str) -> bool {
        self.0.contains(TypeId::of::<T>(), Some(key))
    }

    /// Joins the end of the queue of a key.
    pub(super) fn join<T: CacheValue>(&'static self, key: &str) -> QueuePlace {
        let queue = self.0.enter(TypeId::of::<T>(), Some(key));
        QueuePlace(Waiter::join(queue, 1, 0))
    }
}

impl QueuePlace {
    /// Blocks the thread until this caller is the first.
    pub(super) fn wait(&self, clock: &SteadyClock) {
        self.0.turn(clock, u64::MAX, || Some(()));
    }

    /// Waits until this caller is the first.
    pub(super) async fn wait_async(&self, clock: &SteadyClock) {
        self.0.turn_async(clock, u64::MAX, || Some(())).await;
    }
}
