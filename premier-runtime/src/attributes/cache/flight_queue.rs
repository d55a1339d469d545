//! The queue of callers that wait for one value. Only the first of them computes it.

use std::any::TypeId;
use std::sync::Arc;

use super::bound_cache::BoundCache;
use super::codec::CacheValue;
use crate::clock::SteadyClock;
use crate::limiter::wait_queue::{self, LineKey, Purpose, Ticket};

/// The callers that wait for the value of one key.
#[derive(Debug)]
pub(super) struct FlightQueue(LineKey);

/// The place of one caller. Dropping it lets the next caller take its turn.
#[derive(Debug)]
pub(super) struct QueuePlace(Ticket);

impl FlightQueue {
    /// The queue of a key; values of different types have different queues.
    pub(super) fn new<T: CacheValue>(cache: &'static BoundCache, key: &str) -> Self {
        let cache = std::ptr::from_ref(cache).addr();
        let purpose = Purpose::Flight(TypeId::of::<T>());
        Self(Arc::new((cache, purpose, "".into(), Some(key.into()))))
    }

    /// Whether a caller computes the value now.
    pub(super) fn is_occupied(&self) -> bool {
        wait_queue::any() && wait_queue::ahead(&self.0).is_some()
    }

    /// Joins the end of the queue.
    pub(super) fn join(&self) -> QueuePlace {
        QueuePlace(Ticket::wait(
            Arc::clone(&self.0),
            1,
            0,
            wait_queue::nudges(),
        ))
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
