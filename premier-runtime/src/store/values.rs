//! The trait of a store through which processes share cached values.

use std::time::Duration;

use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;

/// What a [`ValueStore`] returns: a value and the time until it expires, or `None` if there is no value.
pub type Loaded = Option<(Vec<u8>, Duration)>;

/// The token of a computation: whether its value may still be saved.
///
/// [`ValueStore::load_or_begin`] returns it and [`ValueStore::save_begun`] checks it. Every removal of the value of
/// a key makes the tokens of the key invalid, so that a value computed from older data does not come back.
///
/// The bytes are the store's own. The default, without any, is that of a store without tokens.
///
/// ```
/// use premier::cache::LoadToken;
///
/// let token = LoadToken::new(*b"17");
/// assert_eq!(token.as_bytes(), b"17");
/// assert_eq!(LoadToken::default().as_bytes(), b"");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoadToken(Box<[u8]>);

impl LoadToken {
    /// A token that consists of these bytes.
    ///
    /// ```
    /// # use premier::cache::LoadToken;
    /// assert_eq!(LoadToken::new(*b"17"), LoadToken::new(b"17".to_vec()));
    /// ```
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    ///
    /// ```
    /// # use premier::cache::LoadToken;
    /// assert_eq!(LoadToken::new(*b"17").as_bytes(), b"17");
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Keeps the values of `#[cache]` for all processes, under keys and until they expire.
///
/// [`Handler::values`](crate::Handler::values) returns it. The cache treats an error as a miss. Keys are
/// those of the keyspace, so [`Handler::clear`](crate::Handler::clear) must remove the values, too.
///
/// A process that computes a value while another process invalidates it must not save the value. The store prevents
/// that by a token for each key: [`ValueStore::load_or_begin`] returns it, `forget` and `clear` make it invalid,
/// and [`ValueStore::save_begun`] saves only if it is valid. These methods have defaults without tokens, with which
/// an invalidation wins in its own process only.
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

    /// Returns the value of a key and the time until it expires. If there is none, or `stale` or less is left
    /// until it expires, the caller is going to compute a value: returns the token for
    /// [`ValueStore::save_begun`] as well. May block the calling thread.
    ///
    /// The token is valid until any process removes the value, and may be common to all processes that compute the
    /// value. Without a token the computed value is not saved. The default returns an empty token, as is right for a
    /// store that overrides none of these methods.
    ///
    /// # Errors
    /// [`Error::backend`] when the store does not answer in time.
    ///
    /// ```
    /// use premier::cache::ValueStore;
    /// use premier::{Error, Key};
    /// use std::time::Duration;
    ///
    /// fn page(values: &dyn ValueStore, compute: impl Fn() -> Vec<u8>) -> Result<Vec<u8>, Error> {
    ///     let key = Key::new("shop:page:cache", Some("/a"));
    ///     let (found, token) = values.load_or_begin(key, Duration::ZERO)?;
    ///     if let Some((page, _)) = found {
    ///         return Ok(page);
    ///     }
    ///     let page = compute();
    ///     if let Some(token) = token {
    ///         values.save_begun(key, page.clone(), Duration::from_secs(60), token);
    ///     }
    ///     Ok(page)
    /// }
    /// ```
    fn load_or_begin(
        &self,
        key: Key<'_>,
        stale: Duration,
    ) -> Result<(Loaded, Option<LoadToken>), Error> {
        let _ = stale;
        Ok((self.load(key)?, Some(LoadToken::default())))
    }

    /// Returns what [`ValueStore::load_or_begin`] does, without blocking the calling thread.
    ///
    /// The default calls [`ValueStore::load_async`], and is right for a store that overrides none of the methods
    /// about tokens.
    fn load_or_begin_async<'a>(
        &'a self,
        key: Key<'a>,
        stale: Duration,
    ) -> BoxFuture<'a, Result<(Loaded, Option<LoadToken>), Error>> {
        let _ = stale;
        Box::pin(async move { Ok((self.load_async(key).await?, Some(LoadToken::default()))) })
    }

    /// Stores a value as [`ValueStore::save`] does, if the token of its computation is still valid. Otherwise
    /// the value was invalidated meanwhile, and nothing is stored.
    ///
    /// The store checks and stores in one step. The default stores the value in any case.
    fn save_begun(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration, token: LoadToken) {
        let _ = token;
        self.save(key, value, ttl);
    }

    /// Ends the computation with this token, which has no value, in the background and ignoring errors. Must
    /// not block the calling thread. The default does nothing.
    ///
    /// The store may forget the token soon. Other processes may be computing with it.
    fn abandon(&self, key: Key<'_>, token: LoadToken) {
        let _ = (key, token);
    }

    /// Removes the value of a key, and makes the tokens of computations that have begun invalid. May block the
    /// calling thread.
    ///
    /// # Errors
    /// [`Error::backend`] when the store does not answer in time.
    fn forget(&self, key: Key<'_>) -> Result<(), Error>;

    /// Does what [`ValueStore::forget`] does, without blocking the calling thread.
    ///
    /// The default calls [`ValueStore::forget`]. Override it in a store whose `forget` blocks.
    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(self.forget(key)))
    }
}
