//! The trait of a store through which processes share cached values.

use std::time::Duration;

use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;

/// What a [`ValueStore`] returns: a value and the time until it expires, or `None` if there is no value.
pub type Loaded = Option<(Vec<u8>, Duration)>;

/// Keeps the values of `#[cache]` for all processes, under keys and until they expire.
///
/// [`Handler::values`](crate::Handler::values) returns it. The cache treats an error as a miss. Keys are
/// those of the keyspace, so [`Handler::clear`](crate::Handler::clear) must remove the values, too.
///
/// ```
/// use premier::cache::{Loaded, ValueStore};
/// use premier::{Error, Key};
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// #[derive(Debug, Default)]
/// struct Values(Mutex<HashMap<String, (Vec<u8>, Instant)>>);
///
/// impl ValueStore for Values {
///     fn load(&self, key: Key<'_>) -> Result<Loaded, Error> {
///         let values = self.0.lock().unwrap();
///         let found = values.get(&key.to_string());
///         Ok(found.and_then(|(value, expires)| {
///             let left = expires.checked_duration_since(Instant::now())?;
///             Some((value.clone(), left))
///         }))
///     }
///
///     fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration) {
///         let expires = Instant::now() + ttl;
///         self.0.lock().unwrap().insert(key.to_string(), (value, expires));
///     }
///
///     fn forget(&self, key: Key<'_>) -> Result<(), Error> {
///         self.0.lock().unwrap().remove(&key.to_string());
///         Ok(())
///     }
/// }
///
/// let (values, key) = (Values::default(), Key::new("shop:page:cache", Some("/a")));
/// values.save(key, b"the page".to_vec(), Duration::from_secs(60));
/// assert_eq!(values.load(key)?.unwrap().0, b"the page");
/// values.forget(key)?;
/// assert_eq!(values.load(key)?, None);
/// # Ok::<(), Error>(())
/// ```
pub trait ValueStore: Send + Sync {
    /// Returns the value of a key and the time until it expires. May block the calling thread.
    ///
    /// # Errors
    /// [`Error::backend`] when the store does not answer in time.
    fn load(&self, key: Key<'_>) -> Result<Loaded, Error>;

    /// Returns the value of a key and the time until it expires, without blocking the calling thread.
    ///
    /// The default calls [`ValueStore::load`]. Override it in a store whose `load` blocks.
    fn load_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<Loaded, Error>> {
        Box::pin(std::future::ready(self.load(key)))
    }

    /// Stores a value for `ttl`, in the background and ignoring errors. Later calls of this process
    /// are carried out after it. Must not block the calling thread.
    fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration);

    /// Removes the value of a key. May block the calling thread.
    ///
    /// # Errors
    /// [`Error::backend`] when the store does not answer in time.
    fn forget(&self, key: Key<'_>) -> Result<(), Error>;

    /// Removes the value of a key without blocking the calling thread.
    ///
    /// The default calls [`ValueStore::forget`]. Override it in a store whose `forget` blocks.
    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(self.forget(key)))
    }
}
