//! Limits inside one process.
//!
//! The states of a key prefix are a [`Table`]: one [`keyless`] state and, by key, entries in shards.
//! [`fast_path`] decides most calls without a lock or under the lock of one shard; all else goes
//! through [`Request::apply`](crate::store::request::Request::apply).

mod fast_path;
mod handler;
mod key_count;
mod keyed;
mod keyless;
mod shard;
mod states;
mod sync;
mod table;
mod window_bounds;

pub(crate) use self::fast_path::FastPath;
pub(crate) use self::handler::as_memory;
pub use self::handler::{MemoryHandler, MemoryHandlerBuilder};
pub(crate) use self::table::Table;
