//! Invalidating cached values by the name of their cache.

use std::fmt::Display;

use super::bound_cache::prefix;
use super::registry;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::full::Key;
use crate::store::values::ValueStore;

/// Removes the value of one key from the caches named `name`: in this process, and in Redis if values
/// are shared. A value of this key that is being computed now is returned to its caller and not cached.
///
/// `key` is compared by its `Display`.
///
/// # Errors
/// [`Error::Backend`] if Redis does not answer. Other processes may then use the old value until its
/// TTL has passed.
///
/// # Examples
/// ```
/// # #[cfg(feature = "cache")] {
/// premier::cache::invalidate("user", &7)?;
/// # }
/// # Ok::<(), premier::Error>(())
/// ```
pub fn invalidate<K: Display + ?Sized>(name: &str, key: &K) -> Result<(), Error> {
    let key = KeyBuffer::format(key);
    let (prefix, store) = invalidate_here(name, key.as_str());
    match store {
        Some(store) => store.forget(Key::new(&prefix, Some(key.as_str()))),
        None => Ok(()),
    }
}

/// Removes the value of one key as [`invalidate`] does, without blocking the thread while Redis
/// answers.
///
/// # Errors
/// [`Error::Backend`] if Redis does not answer. Other processes may then use the old value until its
/// TTL has passed.
///
/// # Examples
/// ```
/// # #[cfg(feature = "cache")]
/// # async fn example() -> Result<(), premier::Error> {
/// premier::cache::invalidate_async("user", &7).await?;
/// # Ok(())
/// # }
/// ```
pub async fn invalidate_async<K: Display + ?Sized>(name: &str, key: &K) -> Result<(), Error> {
    let key = key.to_string();
    let (prefix, store) = invalidate_here(name, &key);
    match store {
        Some(store) => store.forget_async(Key::new(&prefix, Some(&key))).await,
        None => Ok(()),
    }
}

/// Removes all values of the caches named `name`: in this process, and in Redis if values are shared.
/// Values that are being computed now are returned to their callers and not cached.
///
/// # Errors
/// [`Error::Backend`] if Redis does not answer. Other processes may then use the old values until
/// their TTL has passed.
///
/// # Examples
/// ```
/// # #[cfg(feature = "cache")] {
/// premier::cache::clear("user")?;
/// # }
/// # Ok::<(), premier::Error>(())
/// ```
pub fn clear(name: &str) -> Result<(), Error> {
    let prefix = clear_here(name);
    let handler = Runtime::global().handler();
    match handler.values() {
        Some(_) => handler.clear(&prefix),
        None => Ok(()),
    }
}

/// Removes all values as [`clear`] does, without blocking the thread while Redis answers.
///
/// # Errors
/// [`Error::Backend`] if Redis does not answer. Other processes may then use the old values until
/// their TTL has passed.
///
/// # Examples
/// ```
/// # #[cfg(feature = "cache")]
/// # async fn example() -> Result<(), premier::Error> {
/// premier::cache::clear_async("user").await?;
/// # Ok(())
/// # }
/// ```
pub async fn clear_async(name: &str) -> Result<(), Error> {
    let prefix = clear_here(name);
    let handler = Runtime::global().handler();
    match handler.values() {
        Some(_) => handler.clear_async(&prefix).await,
        None => Ok(()),
    }
}

/// Removes all values of one keyspace from the memory of this process.
pub(crate) fn forget_keyspace(keyspace: &str) {
    for cache in registry::find(|cache| cache.keyspace() == keyspace) {
        cache.clear();
    }
}

fn invalidate_here(name: &str, key: &str) -> (String, Option<&'static dyn ValueStore>) {
    let mut prefix = default_prefix(name);
    for cache in registry::find(|cache| cache.name() == name) {
        cache.invalidate(key);
        prefix = cache.prefix().to_owned();
    }
    (prefix, Runtime::global().handler().values())
}

fn clear_here(name: &str) -> String {
    let mut prefix = default_prefix(name);
    for cache in registry::find(|cache| cache.name() == name) {
        cache.clear();
        prefix = cache.prefix().to_owned();
    }
    prefix
}

/// The prefix of a cache that this process has not called: other processes may have filled it.
fn default_prefix(name: &str) -> String {
    prefix(Runtime::global().keyspace(), name)
}
