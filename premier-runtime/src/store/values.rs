//! The trait of a store through which processes share cached values.

use std::time::Duration;

use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;

/// A value and the time until it expires, or `None` if there is no value.
pub type Loaded = Option<(Vec<u8>, Duration)>;

/// Keeps values under keys until they expire. The cache treats an error as a miss.
pub trait ValueStore: Send + Sync {
    /// Returns the value of a key and the time until it expires. May block the calling thread.
    ///
    /// # Errors
    /// [`Error::Backend`] when the store does not answer in time.
    fn load(&self, key: Key<'_>) -> Result<Loaded, Error>;

    /// Returns the value of a key and the time until it expires, without blocking the calling thread.
    fn load_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<Loaded, Error>>;

    /// Stores a value for `ttl`, in the background and ignoring errors. Later calls of this process
    /// are carried out after it.
    fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration);

    /// Removes the value of a key. May block the calling thread.
    ///
    /// # Errors
    /// [`Error::Backend`] when the store does not answer in time.
    fn forget(&self, key: Key<'_>) -> Result<(), Error>;

    /// Removes the value of a key without blocking the calling thread.
    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>>;
}
