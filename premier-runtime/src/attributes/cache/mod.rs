//! Invalidation of the values that `#[cache]` keeps.
//!
//! A cache has the `name` of its attribute, or the path of its function (`module::path:function`).
//! Functions whose attributes have the same name have their own values, which are invalidated
//! together.
//!
//! # How long values stay in memory
//! A value that was invalidated, or is older than `ttl` and `stale`, is never returned. A cache holds
//! at most `capacity` values, rounded up by less than one for each of its shards. When a cache is full, a new
//! value replaces one that is rarely used. An expired value stays in memory until a new value of its
//! key replaces it, it is invalidated, or it makes room for another one.
//!
//! Values are cloned and dropped while no lock is held, so `Clone` and `Drop` may call cached
//! functions, of the same cache too.
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

mod bound_cache;
mod codec;
mod entry;
mod epochs;
mod flight;
mod flight_queue;
mod invalidation;
mod key_parts;
mod log;
mod lookup;
mod memory;
mod memory_key;
mod registry;
mod site;
mod spec;

pub use self::codec::{CacheValue, Codec, CodecByMemory, CodecBySerde, Probe};
pub use self::flight::Flight;
pub(crate) use self::invalidation::forget_keyspace;
pub use self::invalidation::{clear, clear_async, invalidate, invalidate_async};
pub use self::key_parts::{Parts, key_part, only_part};
pub use self::site::CacheSite;
pub use self::spec::CacheSpec;
pub use crate::store::values::{Loaded, ValueStore};
