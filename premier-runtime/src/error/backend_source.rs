//! The error of a store's driver.

use std::error::Error as StdError;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// The error of a store's driver: the field `source` of [`Error::Backend`](crate::Error::Backend). Clones of an
/// error share it.
///
/// It dereferences to the driver's error, which can be downcast. It does not implement [`std::error::Error`] itself,
/// so that [`source`](StdError::source) of an [`Error`](crate::Error) returns the driver's error.
/// [`Error::with_source`](crate::Error::with_source) creates one.
///
/// ```
/// use premier::{BackendSource, Error};
/// use std::io;
///
/// fn is_timeout(source: &BackendSource) -> bool {
///     source
///         .downcast_ref::<io::Error>()
///         .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
/// }
///
/// let late = io::Error::from(io::ErrorKind::TimedOut);
/// match Error::backend("memcached", late.to_string()).with_source(late) {
///     Error::Backend { source: Some(source), .. } => assert!(is_timeout(&source)),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct BackendSource(Arc<dyn StdError + Send + Sync>);

impl BackendSource {
    pub(super) fn new(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self(Arc::from(error))
    }
}

impl Deref for BackendSource {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

// The error is only read, so a panic cannot leave it half changed. `Error` needs both impls to be unwind safe.
impl UnwindSafe for BackendSource {}
impl RefUnwindSafe for BackendSource {}
