//! Invalidation of the values that `#[cache]` keeps.
//!
//! A cache has the `name` of its attribute, or the path of its function (`module::path:function`).
//! Functions whose attributes have the same name have their own values, which are invalidated
//! together.
//!
//! # How long values stay in memory
//! A value is never returned after `ttl` plus `stale`, nor to a call that began after its
//! invalidation. Its memory is freed when a new value of its key replaces it, when it is invalidated,
//! or when a full cache evicts it; expiring alone does not free it.
//!
//! A full cache evicts values that are rarely used. A cache of 1,024 values or more consists of shards
//! with equal parts of the capacity, each of which evicts when it is full: keys spread unevenly, so
//! such a cache may evict when it is a few percent short of `capacity`.
//!
//! No lock is held while a value is cloned or dropped. `Clone` and `Drop` may therefore call cached
//! functions, including the function that returned the value, and invalidate values.
//!
//! # Examples
//! ```
//! # #[cfg(feature = "cache")] {
//! use premier::cache;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! static LOADS: AtomicU32 = AtomicU32::new(0);
//!
//! #[cache(name = "user", ttl = "1m")]
//! fn load_user(id: u64) -> String {
//!     LOADS.fetch_add(1, Ordering::Relaxed);
//!     format!("user {id}")
//! }
//!
//! assert_eq!(load_user(7), load_user(7));
//! assert_eq!(LOADS.load(Ordering::Relaxed), 1);
//! cache::invalidate("user", &7)?;
//! load_user(7);
//! assert_eq!(LOADS.load(Ordering::Relaxed), 2);
//! # }
//! # Ok::<(), premier::Error>(())
//! ```

pub(crate) mod arguments;
mod bound_cache;
mod cache_key;
mod call_key;
pub(crate) mod codec;
mod entry;
mod epochs;
pub(crate) mod failure;
pub(crate) mod flight;
mod flight_queue;
mod invalidation;
mod load;
mod log;
mod lookup;
mod memory;
pub(crate) mod output;
mod registry;
pub(crate) mod site;
pub(crate) mod spec;

pub(crate) use self::invalidation::forget_keyspace;
pub use self::invalidation::{clear, clear_async, invalidate, invalidate_async};
#[cfg(feature = "dashboard")]
pub(crate) use self::registry::cache_sizes;
pub use crate::store::values::{LoadToken, Loaded, ValueStore};
