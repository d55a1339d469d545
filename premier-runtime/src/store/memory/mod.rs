//! Limits inside one process.
//!
//! The states of a key prefix are a [`Table`]: a [`direct_limiter`] for calls without a key and a
//! [`keyed_limiter`] for calls with a key. [`fast_path`] decides most calls without a lock or under the
//! lock of one shard; everything else goes through [`Request::apply`](crate::store::request::Request::apply).

mod direct_limiter;
mod fast_path;
mod handler;
mod key_count;
mod keyed_limiter;
mod shard;
mod states;
mod table;
mod tables;
mod window_bounds;

pub(crate) use self::fast_path::FastPath;
pub(crate) use self::handler::{BoundTable, as_memory};
pub use self::handler::{MemoryHandler, MemoryHandlerBuilder};
pub(crate) use self::table::{Table, with_locked};
