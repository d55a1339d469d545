//! Where Redis is, and how a connection to it is made.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisError, RedisFuture, TlsCertificates, Value,
};

use super::sentinel::Sentinels;

/// A server, a service behind sentinels, or a cluster.
pub(super) enum Target {
    Single(Client),
    Sentinel(Sentinels),
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
        let infos = options
            .urls
            .iter()
            .map(|url| connection_info(url, options))
            .collect::<Result<Vec<_>, _>>()?;
        if infos
            .iter()
            .any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
        {
            // The driver's TLS asks for the process's provider; one that is set already stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let certificates = certificates(options);
        match &options.kind {
            Kind::Single => {
                let info = infos.into_iter().next().ok_or_else(no_address)?;
                client(info, certificates).map(Self::Single)
            }
            Kind::Sentinel(service) => {
                Sentinels::new(infos, service, options, certificates).map(Self::Sentinel)
            }
            Kind::Cluster => {
                let mut builder = ClusterClientBuilder::new(infos)
                    .tcp_settings(TcpSettings::default().set_nodelay(true))
                    // One node that is silent must not use up the time there is for all.
                    .connection_timeout(timeout / 3)
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

    /// Connects and makes sure that the server answers. `closed` is called when the connection has
    /// ended, as far as that is noticed.
    pub(super) async fn connect(
        &self,
        timeout: Duration,
        closed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Connection, RedisError> {
        let mut connection = match self {
            Self::Single(client) => Connection::Single(open(client, timeout, closed).await?),
            Self::Sentinel(sentinels) => {
                let master = sentinels.master(timeout).await?;
                Connection::Single(open(&master, timeout, closed).await?)
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
            Self::Sentinel(sentinels) => {
                write!(formatter, "{} behind sentinels", sentinels.service)
            }
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
    // A `#` that was not escaped makes a host of what stands before it, which may be a password.
    if url
        .split_once('#')
        .is_some_and(|(_, rest)| rest != "insecure")
    {
        return Err(RedisError::from((
            redis::ErrorKind::InvalidClientConfig,
            "the URL has a `#` that is not escaped",
        )));
    }
    let info = url.into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    if !matches!(options.kind, Kind::Cluster) {
        // In this protocol the driver is told when a connection has ended.
        settings = settings.set_protocol(ProtocolVersion::RESP3);
    }
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

pub(super) fn client(
    info: ConnectionInfo,
    certificates: Option<TlsCertificates>,
) -> Result<Client, RedisError> {
    match certificates {
        Some(certificates) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
            Client::build_with_tls(info, certificates)
        }
        _ => Client::open(info),
    }
}

/// The certificates that the options name.
pub(super) fn certificates(options: &Options) -> Option<TlsCertificates> {
    let root_cert = Some(options.root_certificate.clone()?);
    Some(TlsCertificates {
        client_tls: None,
        root_cert,
    })
}

/// The same server under another host and port.
pub(super) fn moved(address: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match address {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

async fn open(
    client: &Client,
    timeout: Duration,
    closed: impl Fn() + Send + Sync + 'static,
) -> Result<MultiplexedConnection, RedisError> {
    // Every call is bounded from outside, by the time it has left.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(None)
        .set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                closed();
            }
            Ok::<(), SendError>(())
        });
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

pub(super) fn no_address() -> RedisError {
    RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "no address was given",
    ))
}
