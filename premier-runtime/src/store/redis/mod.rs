//! The Redis handler, through which processes share limits and cached values.
//!
//! A call goes from [`handler`] to the thread in [`driver`], which sends a [`script`] over the
//! connection in [`link`].

mod address;
mod builder;
mod clear;
mod connection;
mod driver;
#[cfg(feature = "tracing")]
mod eviction;
mod failure;
mod handler;
mod handshake;
mod job;
mod keys;
mod link;
mod probe;
mod script;
mod sentinel;
mod slot_ranges;
mod target;
#[cfg(feature = "cache")]
mod values;

pub use self::builder::RedisBuilder;
pub use self::handler::{RedisHandler, RedisStatus};
