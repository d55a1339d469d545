//! Limits shared through Redis or Valkey.

mod address;
mod builder;
mod clear;
mod driver;
mod failure;
mod handler;
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
