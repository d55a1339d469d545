//! Invalidating cached values by the name of their cache.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::bound_cache::{BoundCache, prefix};
use super::registry;
use crate::config::runtime::Runtime;
use crate::error::Error;
use crate::key::buffer::KeyBuffer;
use crate::key::full::Key;

/// Removes the value of one key from the caches named `name`: in this process, and in Redis if values
/// are shared. A value of this key that any process is computing now is returned to its caller and not
/// cached, and later callers do not wait for it.
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
    let prefixes = prefixes_of(name, |cache| cache.invalidate(key.as_str()));
    let Some(store) = Runtime::global().handler().values() else {
        return Ok(());
    };
    let removed = prefixes
        .iter()
        .try_for_each(|prefix| store.forget(Key::new(prefix, Some(key.as_str()))));
    end_flights(name, Some(key.as_str()));
    removed
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
    let prefixes = prefixes_of(name, |cache| cache.invalidate(&key));
    if let Some(store) = Runtime::global().handler().values() {
        for prefix in prefixes {
            store.forget_async(Key::new(&prefix, Some(&key))).await?;
        }
        end_flights(name, Some(&key));
    }
    Ok(())
}

/// Removes all values of the caches named `name`: in this process, and in Redis if values are shared.
/// Values that any process is computing now are returned to their callers and not cached.
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
    let prefixes = prefixes_of(name, BoundCache::clear);
    let handler = Runtime::global().handler();
    match handler.values() {
        Some(_) => {
            let cleared = prefixes.iter().try_for_each(|prefix| handler.clear(prefix));
            end_flights(name, None);
            cleared
        }
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
    let prefixes = prefixes_of(name, BoundCache::clear);
    let handler = Runtime::global().handler();
    if handler.values().is_some() {
        for prefix in prefixes {
            handler.clear_async(&prefix).await?;
        }
        end_flights(name, None);
    }
    Ok(())
}

/// Removes all values of one keyspace from the memory of this process.
pub(crate) fn forget_keyspace(keyspace: &str) {
    for cache in registry::find(|cache| cache.keyspace() == keyspace) {
        cache.clear();
    }
}

/// Makes later callers not wait for computations, of one key or of all, that began while the store still had the
/// value.
fn end_flights(name: &str, key: Option<&str>) {
    for cache in registry::find(|cache| cache.name() == name) {
        match key {
            Some(key) => cache.flights.invalidate(key),
            None => cache.flights.clear(),
        }
    }
}

/// Changes the caches of a name in this process. Returns the prefixes of their shared values. If this process has
/// called none, it returns the prefix of the name, because other processes may have filled that cache.
fn prefixes_of(name: &str, change: impl Fn(&BoundCache)) -> BTreeSet<String> {
    let mut prefixes = BTreeSet::new();
    for cache in registry::find(|cache| cache.name() == name) {
        change(cache);
        prefixes.insert(cache.prefix().to_owned());
    }
    if prefixes.is_empty() {
        prefixes.insert(prefix(Runtime::global().keyspace(), name));
    }
    prefixes
}
