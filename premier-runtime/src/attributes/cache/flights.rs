//! The callers of a cache that compute a value or wait for it.

use std::any::TypeId;

use crate::limiter::wait_queue::{QueueMap, QueueRef, WaitQueue, Waiter};

/// By the type of the value and its key. The head of a queue computes the value.
pub(super) type Flights = QueueMap<TypeId, WaitQueue>;

/// A place in one of the queues.
pub(super) type FlightWaiter = Waiter<QueueRef<'static, TypeId, WaitQueue>>;
