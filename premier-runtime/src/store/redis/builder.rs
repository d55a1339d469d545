//! The builder of a Redis handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::ClientTlsConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::address::{Options, Topology};
use super::handler::{self, RedisHandler};
use crate::clock::Clock;
use crate::error::Error;

/// Builds a [`RedisHandler`].
///
/// Created by [`RedisHandler::builder`], [`RedisHandler::sentinel`] and [`RedisHandler::cluster`].
///
/// Defaults: a timeout of 500 ms; user name, password and database from the URL; the system's root
/// certificates and no client certificate; the client name `premier`; a TCP keepalive of 30 s; the
/// server's clock.
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
const CLIENT_NAME: &str = "premier";
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

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
            username: None,
            password: None,
            database: None,
            root_certificate: None,
            client_certificate: None,
            client_name: CLIENT_NAME.to_owned(),
            tcp_keepalive: Some(TCP_KEEPALIVE),
            hash_keys: false,
            deny_locally: None,
        };
        Self {
            options,
            timeout: TIMEOUT,
            clock: None,
        }
    }

    /// Sets the longest time a call may take, including the time to connect. Default: 500 ms.
    ///
    /// ```
    /// use premier::RedisHandler;
    /// use std::time::Duration;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example")
    ///     .timeout(Duration::from_millis(100))
    ///     .build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = longest;
        self
    }

    /// Sets the user name and password of the server. Default: those in the URL.
    ///
    /// Behind sentinels, these credentials are for the master; those in the URLs are for the
    /// sentinels.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example")
    ///     .credentials("limits", "secret")
    ///     .build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.username = Some(username.into());
        self.options.password = Some(password.into());
        self
    }

    /// Sets the password of the server's default user. Default: the password in the URL.
    ///
    /// Behind sentinels, the password is for the master; those in the URLs are for the sentinels.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example").password("secret").build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.options.password = Some(password.into());
        self
    }

    /// Sets the number of the database. Default: the number in the URL, or 0. A cluster has only
    /// database 0.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example").database(2).build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn database(mut self, number: u32) -> Self {
        self.options.database = Some(i64::from(number));
        self
    }

    /// Sets the root certificate, in PEM, that must have signed the server's certificate. Default:
    /// the system's root certificates.
    ///
    /// ```no_run
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("rediss://cache.example")
    ///     .root_certificate(std::fs::read("ca.pem")?)
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.root_certificate = Some(pem.into());
        self
    }

    /// Sets for how long a call that the server has denied is denied by this process without asking again, if
    /// the denial lasts that long. Default: 100 ms, or a tenth of the limit's period if that is shorter.
    /// Zero asks every time.
    ///
    /// Callers that keep asking although they are denied then cost the server little. Only calls of one key and limit
    /// are denied, and calls of another cost only if the server would deny them too; no call is ever admitted without
    /// asking. A reset, a refund and a change of the limit by this process take effect at once, refunds by other
    /// processes after this time.
    ///
    /// ```
    /// use premier::RedisHandler;
    /// use std::time::Duration;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example")
    ///     .deny_locally(Duration::from_millis(20))
    ///     .build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn deny_locally(mut self, longest: Duration) -> Self {
        self.options.deny_locally = Some(longest);
        self
    }

    /// Sets the certificate that the server asks for, with its private key, both in PEM. The certificate
    /// may be followed by the certificates that signed it. Default: none.
    ///
    /// A server with TLS asks for one unless its `tls-auth-clients` is `no` or `optional`.
    ///
    /// ```no_run
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("rediss://cache.example")
    ///     .root_certificate(std::fs::read("ca.pem")?)
    ///     .client_certificate(std::fs::read("client.pem")?, std::fs::read("client.key")?)
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.options.client_certificate = Some(ClientTlsConfig {
            client_cert: certificate_pem.into(),
            client_key: key_pem.into(),
        });
        self
    }

    /// Sets the name that `CLIENT LIST` shows for the connections of this handler. Default: `premier`.
    ///
    /// A user that may not run `CLIENT SETNAME` has no name. An empty name is not sent, nor is the name of
    /// the client library, for proxies that close the connection at a command that they do not know. In a
    /// cluster, connections to nodes that join later have no name.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example").client_name("checkout").build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.options.client_name = name.into();
        self
    }

    /// Sets how long a connection is idle before TCP probes it, so that firewalls do not forget it and a
    /// server that has vanished is noticed; `None` turns the probes off. Default: 30 s.
    ///
    /// Further probes follow a third of this later on Linux, Android, Windows and Apple's systems, and as the
    /// system is configured elsewhere. Connections by Unix sockets have none.
    ///
    /// ```
    /// use premier::RedisHandler;
    /// use std::time::Duration;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example")
    ///     .tcp_keepalive(Duration::from_secs(120))
    ///     .build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn tcp_keepalive(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.options.tcp_keepalive = idle.into();
        self
    }

    /// Sets whether callers' keys are replaced by their SHA-256 in Redis, so that user names and addresses
    /// appear neither there nor in `SLOWLOG` and `MONITOR`. Default: only keys longer than 128 bytes are.
    ///
    /// Somebody who can guess a key can still look it up. All processes that share limits must agree: a change starts
    /// all limits with a key anew.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://cache.example").hash_keys(true).build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn hash_keys(mut self, hash: bool) -> Self {
        self.options.hash_keys = hash;
        self
    }

    /// Sets the clock by which limits decide and callers wait, for tests and simulations. Default:
    /// the server's clock for decisions and the system's clock for waits.
    ///
    /// All processes that share limits must use one clock. Because this clock may run slower than the
    /// server's, keys expire an hour later than necessary.
    ///
    /// ```
    /// use premier::RedisHandler;
    /// use premier::clock::ManualClock;
    ///
    /// let redis = RedisHandler::builder("redis://localhost").clock(ManualClock::new()).build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the handler. It connects at its first use.
    ///
    /// # Errors
    /// [`Error::Config`] when a URL or a certificate is invalid, the timeout is zero, the TCP keepalive is
    /// shorter than a second, the client name has a space or another invisible or non-ASCII character, or the
    /// database of a cluster is not 0. The message does not contain the URL, which may contain a password.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// assert!(RedisHandler::builder("redis://localhost").build().is_ok());
    /// assert!(RedisHandler::builder("localhost").build().is_err());
    /// ```
    pub fn build(self) -> Result<RedisHandler, Error> {
        if self.timeout.is_zero() {
            return Err(Error::config(
                "the timeout of redis must be longer than zero",
            ));
        }
        let Options {
            client_name,
            client_certificate,
            tcp_keepalive,
            ..
        } = &self.options;
        if !client_name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config(
                "the client name of redis must consist of visible ASCII characters",
            ));
        }
        if tcp_keepalive.is_some_and(|idle| idle < Duration::from_secs(1)) {
            return Err(Error::config(
                "the TCP keepalive of redis must be a second or longer",
            ));
        }
        if client_certificate
            .as_ref()
            .is_some_and(|pair| !is_pem(pair))
        {
            return Err(Error::config(
                "the client certificate of redis and its key must be in PEM",
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

/// Whether there is a certificate and a private key.
fn is_pem(pair: &ClientTlsConfig) -> bool {
    let certificate = CertificateDer::from_pem_slice(&pair.client_cert);
    let key = PrivateKeyDer::from_pem_slice(&pair.client_key);
    certificate.is_ok() && key.is_ok()
}

impl RedisHandler {
    /// Creates a handler for one server with the default options. It connects at its first use.
    ///
    /// The URL is `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, or
    /// `unix:///path/of/the/socket`. The protocol is RESP3, or RESP2 with `?protocol=resp2` and with a server or
    /// proxy that refuses `HELLO`. With RESP2 a closed connection is noticed by the next call, which fails.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL is invalid. The message does not contain the URL, which may
    /// contain a password.
    ///
    /// ```
    /// use premier::{Config, RedisHandler};
    ///
    /// let redis = RedisHandler::connect("redis://127.0.0.1/")?;
    /// premier::config(Config::new(redis).keyspace("shop"))?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// Returns a builder for one server. See [`RedisHandler::connect`] for the form of the URL.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::builder("redis://127.0.0.1/").database(2).build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn builder(url: impl Into<String>) -> RedisBuilder {
        RedisBuilder::single(url.into())
    }

    /// Returns a builder for the master of `service`, which is found through the sentinels at `urls`.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let sentinels = ["redis://s1:26379", "redis://s2:26379", "redis://s3:26379"];
    /// let redis = RedisHandler::sentinel("mymaster", sentinels).password("secret").build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn sentinel<U: Into<String>>(
        service: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> RedisBuilder {
        RedisBuilder::sentinel(service.into(), urls.into_iter().map(Into::into).collect())
    }

    /// Returns a builder for a cluster, which is found through any of the nodes at `urls`.
    ///
    /// ```
    /// use premier::RedisHandler;
    ///
    /// let redis = RedisHandler::cluster(["redis://n1:6379", "redis://n2:6379"]).build()?;
    /// # Ok::<(), premier::Error>(())
    /// ```
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RedisBuilder {
        RedisBuilder::cluster(urls.into_iter().map(Into::into).collect())
    }
}

/// Shows neither user names nor passwords.
impl fmt::Debug for RedisBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisBuilder")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
