//! Invalidation of what `#[cache]` keeps.
//!
//! A cache is named by the `name` of its attribute; without one, by the path of its function
//! (`module::path:function`).
//!
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

mod bound;
mod codec;
mod flight;
mod flights;
mod forgotten;
mod front;
mod key;
mod search;
mod site;
mod spec;

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::bound::Bound;
pub use self::codec::{CacheValue, Codec, CodecByMemory, CodecBySerde, Probe};
pub use self::flight::Flight;
pub use self::key::{Parts, key_part, only_part};
pub use self::site::CacheSite;
pub use self::spec::CacheSpec;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::full::Key;
pub use crate::store::values::{Loaded, ValueStore};

/// Every cache that a call has reached.
static CACHES: Mutex<Vec<&'static Bound>> = Mutex::new(Vec::new());

/// Those of which this is true. Nothing is held locked while values are dropped: what they do then is
/// the user's code.
fn caches_that(are: impl Fn(&Bound) -> bool) -> Vec<&'static Bound> {
    let mut caches = caches().clone();
    caches.retain(|cache| are(cache));
    caches
}

fn caches() -> MutexGuard<'static, Vec<&'static Bound>> {
    CACHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the value of one key: here, and in Redis where it is shared. What is being computed
/// now is not kept.
///
/// # Errors
/// [`Error::Backend`] when Redis does not answer: other processes may go on with the old value
/// until its TTL has passed.
pub fn invalidate<K: Display + ?Sized>(name: &str, key: &K) -> Result<(), Error> {
    let key = KeyBuffer::format(key);
    let (prefix, store) = forget(name, key.as_str());
    match store {
        Some(store) => store.forget(Key::new(&prefix, Some(key.as_str()))),
        None => Ok(()),
    }
}

/// The same as [`invalidate`] for async callers.
///
/// # Errors
/// As for [`invalidate`].
pub async fn invalidate_async<K: Display + ?Sized>(name: &str, key: &K) -> Result<(), Error> {
    let key = key.to_string();
    let (prefix, store) = forget(name, &key);
    match store {
        Some(store) => store.forget_async(Key::new(&prefix, Some(&key))).await,
        None => Ok(()),
    }
}

/// Forgets all values of one cache: here, and in Redis where they are shared.
///
/// # Errors
/// [`Error::Backend`] when Redis does not answer.
pub fn clear(name: &str) -> Result<(), Error> {
    let prefix = forget_all(name);
    let handler = Runtime::global().handler();
    match handler.values() {
        Some(_) => handler.clear(&prefix),
        None => Ok(()),
    }
}

/// The same as [`clear`] for async callers.
///
/// # Errors
/// As for [`clear`].
pub async fn clear_async(name: &str) -> Result<(), Error> {
    let prefix = forget_all(name);
    let handler = Runtime::global().handler();
    match handler.values() {
        Some(_) => handler.clear_async(&prefix).await,
        None => Ok(()),
    }
}

/// Forgets what this process keeps of a whole keyspace.
pub(crate) fn forget_keyspace(keyspace: &str) {
    for cache in caches_that(|cache| cache.keyspace() == keyspace) {
        cache.forget_all();
    }
}

fn forget(name: &str, key: &str) -> (String, Option<&'static dyn ValueStore>) {
    let mut prefix = default_prefix(name);
    for cache in caches_that(|cache| cache.name() == name) {
        cache.forget(key);
        prefix = cache.prefix().to_owned();
    }
    (prefix, Runtime::global().handler().values())
}

fn forget_all(name: &str) -> String {
    let mut prefix = default_prefix(name);
    for cache in caches_that(|cache| cache.name() == name) {
        cache.forget_all();
        prefix = cache.prefix().to_owned();
    }
    prefix
}

/// Of a cache that no call of this process has reached: others may have filled it.
fn default_prefix(name: &str) -> String {
    prefix(Runtime::global().keyspace(), name)
}

fn prefix(keyspace: &str, name: &str) -> String {
    format!("{keyspace}:cache:{name}")
}

/// A cache that fails never fails the call; it is told here.
fn warn(what: &str, cache: &str, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(cache, %error, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, cache, error);
}
