//! Process-wide functions: configuring the process and clearing its state.

#[cfg(feature = "cache")]
use crate::attributes::cache;
use crate::config::builder::Config;
use crate::config::runtime::Runtime;
use crate::error::Error;
#[cfg(feature = "limits-file")]
use crate::limiter::overrides::file;
use crate::limiter::wait_queue::ask_again_in;
use crate::store::handler::Handler;

/// Configures the process. Call it once, in `main`, before the first annotated function runs.
///
/// `config` is a [`Config`], or a handler, which is used with the default options. A process that is
/// not configured keeps its limits in memory.
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
/// configuration. [`Error::Config`] when the keyspace or the limits file is invalid. The
/// configuration does not change in either case.
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

/// Removes the state of every limit and every cached value in this process's keyspace.
///
/// In a shared store this affects all processes that use the keyspace. Other keyspaces are not
/// touched.
///
/// ```
/// use premier::throttle;
///
/// #[throttle(quota = 1, duration = "1h")]
/// fn report() {}
///
/// report()?;
/// assert!(report().is_err());
/// premier::clear()?;
/// report()?;
/// # Ok::<(), premier::Error>(())
/// ```
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub fn clear() -> Result<(), Error> {
    let runtime = Runtime::global();
    clear_process_state(runtime, runtime.handler().clear(runtime.keyspace()))
}

/// Removes the state of every limit and every cached value in this process's keyspace, without
/// blocking the calling thread.
///
/// The async form of [`clear`].
///
/// ```
/// # async fn example() -> Result<(), premier::Error> {
/// premier::clear_async().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Backend`] when the store cannot be reached.
pub async fn clear_async() -> Result<(), Error> {
    let runtime = Runtime::global();
    clear_process_state(
        runtime,
        runtime.handler().clear_async(runtime.keyspace()).await,
    )
}

/// Clears the state outside of the store: the fallback, the cached values and the wait queues. Returns
/// the result of clearing the store.
fn clear_process_state(runtime: &Runtime, result: Result<(), Error>) -> Result<(), Error> {
    runtime.fallback().clear(runtime.keyspace())?;
    #[cfg(feature = "cache")]
    cache::forget_keyspace(runtime.keyspace());
    ask_again_in(runtime.keyspace());
    result
}
