//! The callers that wait, in queues that belong to their limit and key.
//!
//! - [`queue`]: the queue of one key: its head and the order behind it.
//! - [`turn`]: waiting in a queue until a call can be made.
//! - [`slots`]: the reserved slots of a bucket, each with the time when it begins. [`equal_slots`] and
//!   [`mixed_slots`] say what happens to the others when one leaves, [`spacing`] how far apart they are,
//!   and [`give_back`] what goes back to the store.
//! - [`map`]: queues by key, which exist while a caller is in them.
//! - [`queues`]: all queues of one limit, and how they learn that something was given back.

mod equal_slots;
mod give_back;
mod map;
mod mixed_slots;
mod order;
mod queue;
mod queues;
mod slots;
mod spacing;
mod turn;
mod wakers;

pub(crate) use self::give_back::{GiveBack, Reason};
pub(crate) use self::map::{QueueMap, QueueRef};
pub(crate) use self::queue::{Position, QueueHead, WaitQueue, Waiter};
pub(crate) use self::queues::{HeldSlots, LimitQueue, LimitWaiter, Seen, WaitQueues, ask_again_in};
pub(crate) use self::slots::{Joined, Slot, SlotWaiter, TakenSlot, Turn};
