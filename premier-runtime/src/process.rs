//! What a program says to premier as a whole: its configuration, and to forget everything.

#[cfg(feature = "cache")]
use crate::attributes::cache;
use crate::config::builder::Config;
use crate::config::runtime::Runtime;
use crate::error::Error;
#[cfg(feature = "limits-file")]
use crate::limiter::overrides::file;
use crate::limiter::wait_queue::notify_every_queue;
use crate::store::handler::Handler;

/// Configures this process, once, in `main`, before the first annotated function runs.
///
/// Without it, limits hold in this process's memory.
///
/// ```
/// use premier::{Config, MemoryHandler};
///
/// premier::config(Config::new(MemoryHandler::new()).keyspace("shop"))?;
/// assert!(premier::config(MemoryHandler::new()).is_err());
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # Errors
/// [`Error::AlreadyConfigured`] on a second call and after the first use of the default
/// configuration; [`Error::Config`] for a value that cannot be used. In both cases nothing changes.
pub fn config(config: impl Into<Config>) -> Result<(), Error> {
    #[cfg_attr(not(feature = "limits-file"), expect(unused_mut))]
    let mut config = config.into();
    config.validate()?;
    #[cfg(feature = "limits-file")]
    let file = config
        .limits_file
        .take()
        .map(file::Watched::open)
        .transpose()?;
    Runtime::install(config)?;
    #[cfg(feature = "limits-file")]
    if let Some(file) = file {
        file.watch()?;
    }
    Ok(())
}

/// Forgets the state of every limit of this process's keyspace, and every cached value, and of no
/// other.
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub fn clear() -> Result<(), Error> {
    let runtime = Runtime::global();
    cleared(runtime, runtime.handler().clear(runtime.keyspace()))
}

/// The same as [`clear`] for async callers.
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub async fn clear_async() -> Result<(), Error> {
    let runtime = Runtime::global();
    cleared(
        runtime,
        runtime.handler().clear_async(runtime.keyspace()).await,
    )
}

fn cleared(runtime: &Runtime, result: Result<(), Error>) -> Result<(), Error> {
    runtime.fallback().clear(runtime.keyspace())?;
    #[cfg(feature = "cache")]
    cache::forget_keyspace(runtime.keyspace());
    notify_every_queue();
    result
}
