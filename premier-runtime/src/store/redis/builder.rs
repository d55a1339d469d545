//! Settings of a handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Options, Topology};
use super::handler::{self, RedisHandler};
use crate::clock::Clock;
use crate::error::Error;

/// Builds a [`RedisHandler`].
///
/// Defaults: a timeout of 500 ms; user name, password and database as in the URL.
///
/// ```
/// use premier::RedisHandler;
/// use std::time::Duration;
///
/// let single = RedisHandler::builder("rediss://cache.example/2")
///     .credentials("limits", "secret")
///     .timeout(Duration::from_millis(200))
///     .build()?;
/// assert!(!format!("{single:?}").contains("secret"));
///
/// let service = RedisHandler::sentinel("mymaster", ["redis://s1:26379", "redis://s2:26379"])
///     .password("secret")
///     .database(2)
///     .build()?;
/// let cluster = RedisHandler::cluster(["redis://n1:6379", "redis://n2:6379"]).build()?;
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisBuilder {
    options: Options,
    timeout: Duration,
    clock: Option<Arc<dyn Clock>>,
}

const TIMEOUT: Duration = Duration::from_millis(500);

impl RedisBuilder {
    pub(super) fn single(url: String) -> Self {
        Self::new(vec![url], Topology::Single)
    }

    pub(super) fn sentinel(service: String, urls: Vec<String>) -> Self {
        Self::new(urls, Topology::Sentinel(service))
    }

    pub(super) fn cluster(urls: Vec<String>) -> Self {
        Self::new(urls, Topology::Cluster)
    }

    fn new(urls: Vec<String>, topology: Topology) -> Self {
        let options = Options {
            urls,
            topology,
            ..Options::default()
        };
        Self {
            options,
            timeout: TIMEOUT,
            clock: None,
        }
    }

    /// The longest that a call may take, making a connection included.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = longest;
        self
    }

    /// The user name and password of the server, instead of those in the URL. Behind sentinels
    /// those in the URLs are the sentinels' own.
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.username = Some(username.into());
        self.options.password = Some(password.into());
        self
    }

    /// The password of the server's default user, instead of that in the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.options.password = Some(password.into());
        self
    }

    /// The number of the database, instead of that in the URL. A cluster has only 0.
    pub fn database(mut self, number: u32) -> Self {
        self.options.database = Some(i64::from(number));
        self
    }

    /// The certificate, in PEM, that has to be behind the server's, instead of the system's.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.root_certificate = Some(pem.into());
        self
    }

    /// Decides and waits by this clock instead of the server's and the system's: for tests and
    /// simulations. All processes that share limits have to go by the same clock; keys then live
    /// an hour longer than they have to.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The handler. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Config`] when an address cannot be used, or the timeout is zero.
    pub fn build(self) -> Result<RedisHandler, Error> {
        if self.timeout.is_zero() {
            return Err(Error::config(
                "the timeout of redis must be longer than zero",
            ));
        }
        if matches!(self.options.topology, Topology::Cluster)
            && self.options.database.unwrap_or(0) != 0
        {
            return Err(Error::config("a cluster of redis has only database 0"));
        }
        handler::new(self.options, self.timeout, self.clock)
    }
}

impl RedisHandler {
    /// One server, by its URL: `redis://[user:password@]host[:port][/database]`, `rediss://…` with
    /// TLS, or `unix:///path/of/the/socket`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL cannot be used. It is not repeated in the message.
    pub fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// One server with further settings.
    pub fn builder(url: impl Into<String>) -> RedisBuilder {
        RedisBuilder::single(url.into())
    }

    /// The master that sentinels name for `service`; `urls` are those of the sentinels.
    pub fn sentinel<U: Into<String>>(
        service: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> RedisBuilder {
        RedisBuilder::sentinel(service.into(), urls.into_iter().map(Into::into).collect())
    }

    /// A cluster, found through any of the nodes at `urls`.
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RedisBuilder {
        RedisBuilder::cluster(urls.into_iter().map(Into::into).collect())
    }
}

/// Neither user names nor passwords.
impl fmt::Debug for RedisBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisBuilder")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
