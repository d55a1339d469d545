//! A store that processes share values through.

use std::time::Duration;

use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;

/// A value with the time it has left, if there is one.
pub type Loaded = Option<(Vec<u8>, Duration)>;

/// Keeps values, by key, for a time. All of it may fail: a value that cannot be had is a miss.
pub trait ValueStore: Send + Sync {
    /// The value with the time it has left.
    ///
    /// # Errors
    /// [`Error::Backend`] when there is no answer in time.
    fn load(&self, key: Key<'_>) -> Result<Loaded, Error>;

    /// The same for async callers.
    fn load_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<Loaded, Error>>;

    /// Writes some time soon, before any later call of this process is answered.
    fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration);

    /// Forgets the value.
    ///
    /// # Errors
    /// [`Error::Backend`] when there is no answer in time.
    fn forget(&self, key: Key<'_>) -> Result<(), Error>;

    /// The same for async callers.
    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>>;
}
