//! A named limit bound to a store: deciding, waiting, and limits that change at run time.

pub(crate) mod acquire;
mod bound_store;
pub(crate) mod call;
pub(crate) mod counted_wait;
#[cfg(all(test, premier_loom))]
mod every_interleaving;
pub(crate) mod known_plans;
pub(crate) mod max_wait;
pub(crate) mod named;
pub mod overrides;
pub(crate) mod settling;
pub(crate) mod taken;
pub(crate) mod together;
pub(crate) mod wait;
pub(crate) mod wait_queue;
pub(crate) mod waiting;
