//! Waiters, in queues that belong to their limit and key.
//!
//! - [`queue`]: the queue of one key of a window: its head and the order behind it.
//! - [`turn`]: waiting in a queue until a call can be made.
//! - [`slot_queue`]: the queue of one key of a bucket, whose waiters have reserved slots. [`slot_waiters`] is what
//!   its lock guards.
//! - [`slots`]: the slots themselves. [`equal_slots`] and [`mixed_slots`] say what happens to the others when a
//!   waiter leaves, [`spacing`] how far apart they are, and [`give_back`] what goes back to the store.
//! - [`map`]: queues by key, which exist while a waiter is in them.
//! - [`queues`]: all queues of one limit, and how they are notified of refunds and changes.

mod equal_slots;
mod give_back;
mod map;
mod mixed_slots;
mod order;
mod queue;
mod queues;
mod slot_queue;
mod slot_waiters;
mod slots;
mod spacing;
mod turn;
mod wakers;

pub(crate) use self::give_back::{GiveBack, Reason};
pub(crate) use self::map::{QueueMap, QueueRef};
pub(crate) use self::queue::{Position, QueueHead, WaitQueue, Waiter};
pub(crate) use self::queues::{HeldSlots, LimitQueue, LimitWaiter, Seen, WaitQueues, ask_again_in};
pub(crate) use self::slot_queue::{Joined, SlotWaiter};
pub(crate) use self::slot_waiters::Turn;
pub(crate) use self::slots::{Slot, TakenSlot};
