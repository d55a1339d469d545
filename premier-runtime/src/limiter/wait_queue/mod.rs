//! The callers that wait, in queues that belong to their limit and key.
//!
//! - [`queue`]: the queue of one key: who is the head, who is next.
//! - [`turn`]: waiting in it until there is something to have.
//! - [`slots`]: the reserved slots of a leaky bucket, whose waiters each know their time.
//!   [`equal_slots`] and [`mixed_slots`] say what happens to the others when one leaves.
//! - [`map`]: queues by key, which exist while somebody is in them.
//! - [`queues`]: all queues of one limit, and how they hear that something was given back.

mod equal_slots;
mod map;
mod mixed_slots;
mod order;
mod queue;
mod queues;
mod slots;
mod turn;
mod wakers;

#[cfg(feature = "cache")]
pub(crate) use self::map::{QueueMap, QueueRef};
pub(crate) use self::queue::{Position, QueueHead, WaitQueue, Waiter};
pub(crate) use self::queues::{LimitQueue, LimitWaiter, WaitQueues, notify_every_queue};
pub(crate) use self::slots::SlotWaiter;
