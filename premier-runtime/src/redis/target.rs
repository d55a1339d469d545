//! Where Redis is, and how a connection to it is made.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisError, RedisFuture, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

/// A server, a service behind sentinels, or a cluster.
pub(super) enum Target {
    Single(Client),
    // Looking a master up changes which sentinel is asked first.
    Sentinel {
        client: Mutex<SentinelClient>,
        service: String,
    },
    Cluster(ClusterClient),
}

/// What the builder has gathered.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) urls: Vec<String>,
    pub(super) kind: Kind,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: Option<i64>,
    pub(super) root_certificate: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(super) enum Kind {
    #[default]
    Single,
    Sentinel(String),
    Cluster,
}

/// A connection that many calls share at one time.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn new(options: &Options, timeout: Duration) -> Result<Self, RedisError> {
        // The driver's TLS asks for the process's provider; one that is set already stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let infos = options
            .urls
            .iter()
            .map(|url| connection_info(url, options))
            .collect::<Result<Vec<_>, _>>()?;
        let certificates = options
            .root_certificate
            .as_ref()
            .map(|certificate| TlsCertificates {
                client_tls: None,
                root_cert: Some(certificate.clone()),
            });
        match &options.kind {
            Kind::Single => {
                let info = infos.into_iter().next().ok_or_else(no_address)?;
                Ok(Self::Single(match certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                }))
            }
            Kind::Sentinel(service) => {
                sentinel(infos, service, options, certificates).map(|client| Self::Sentinel {
                    client: Mutex::new(client),
                    service: service.clone(),
                })
            }
            Kind::Cluster => {
                let mut builder = ClusterClientBuilder::new(infos)
                    .tcp_settings(TcpSettings::default().set_nodelay(true))
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(8)
                    .min_retry_wait(5)
                    .max_retry_wait(100);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                builder.build().map(Self::Cluster)
            }
        }
    }

    /// Connects and makes sure that the server answers.
    pub(super) async fn connect(&self, timeout: Duration) -> Result<Connection, RedisError> {
        // Every call is bounded from outside, by the time it has left.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(None);
        let mut connection = match self {
            Self::Single(client) => Connection::Single(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Self::Sentinel { client, .. } => {
                let master = client.lock().await.async_get_client().await?;
                Connection::Single(
                    master
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?,
                )
            }
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        };
        redis::cmd("PING").exec_async(&mut connection).await?;
        Ok(connection)
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Addresses only: neither user names nor passwords.
impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(client) => {
                write!(formatter, "{}", client.get_connection_info().addr())
            }
            Self::Sentinel { service, .. } => write!(formatter, "{service} behind sentinels"),
            Self::Cluster(_) => formatter.write_str("a cluster"),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// The connection that a URL describes, with what the builder has set besides.
pub(super) fn connection_info(url: &str, options: &Options) -> Result<ConnectionInfo, RedisError> {
    let info = url.into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    // Behind sentinels these are for the server that they name, not for themselves.
    if !matches!(options.kind, Kind::Sentinel(_)) {
        if let Some(username) = &options.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &options.password {
            settings = settings.set_password(password);
        }
        if let Some(database) = options.database {
            settings = settings.set_db(database);
        }
    }
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn sentinel(
    infos: Vec<ConnectionInfo>,
    service: &str,
    options: &Options,
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let first = infos.first().cloned().ok_or_else(no_address)?;
    let addresses: Vec<ConnectionAddr> = infos.iter().map(|info| info.addr().clone()).collect();
    let settings = TcpSettings::default().set_nodelay(true);
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
        .set_client_to_redis_tcp_settings(settings.clone())
        .set_client_to_sentinel_tcp_settings(settings);
    if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(username) = first.redis_settings().username() {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = first.redis_settings().password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = &options.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &options.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(database) = options.database {
        builder = builder.set_client_to_redis_db(database);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()
}

fn no_address() -> RedisError {
    RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "no address was given",
    ))
}
