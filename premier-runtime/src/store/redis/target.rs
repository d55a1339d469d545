//! The target of a connection, and how to connect to it.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ConnectionAddr, RedisError, RedisFuture, Value};

use super::address::{
    Options, Topology, certificates, client, connection_info, missing_address, tcp_settings,
};
use super::handshake::Handshake;
use super::sentinel::SentinelService;

/// What a handler connects to, and how a connection begins.
pub(super) struct Target {
    servers: Servers,
    handshake: Handshake,
}

/// A server, a service behind sentinels, or a cluster.
enum Servers {
    Single(Client),
    Sentinel(SentinelService),
    Cluster(ClusterClient),
}

/// A connection over which many concurrent calls are multiplexed.
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
            // The redis crate uses the process's default provider. This fails if one is installed.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let certificates = certificates(options);
        let servers = match &options.topology {
            Topology::Single => {
                let info = infos.into_iter().next().ok_or_else(missing_address)?;
                Servers::Single(client(info, certificates)?)
            }
            Topology::Sentinel(service) => {
                Servers::Sentinel(SentinelService::new(infos, service, options, certificates)?)
            }
            Topology::Cluster => {
                let mut builder = ClusterClientBuilder::new(infos)
                    .tcp_settings(tcp_settings(options))
                    // A node that does not answer must leave time to try other nodes.
                    .connection_timeout(timeout / 3)
                    .response_timeout(timeout)
                    .retries(8)
                    .min_retry_wait(5)
                    .max_retry_wait(100);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                Servers::Cluster(builder.build()?)
            }
        };
        Ok(Self {
            servers,
            handshake: Handshake::new(&options.client_name),
        })
    }

    /// Connects. The server has then answered, but need not be able to decide: see
    /// [`probe`](super::probe::probe). `closed` is called when the connection ends, except that of a cluster,
    /// which reconnects by itself.
    pub(super) async fn connect(
        &self,
        timeout: Duration,
        closed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Connection, RedisError> {
        let handshake = &self.handshake;
        let single = match &self.servers {
            Servers::Single(client) => handshake.open(client, timeout, closed).await?,
            Servers::Sentinel(sentinels) => {
                let master = sentinels.master(timeout).await?;
                handshake.open(&master, timeout, closed).await?
            }
            Servers::Cluster(client) => {
                let connection = client.get_async_connection().await?;
                handshake.name_nodes(&connection);
                return Ok(Connection::Cluster(connection));
            }
        };
        Ok(Connection::Single(single))
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }
}

/// Shows addresses, but neither user names nor passwords.
impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Servers::Single(client) => {
                write!(formatter, "{}", client.get_connection_info().addr())
            }
            Servers::Sentinel(sentinels) => {
                write!(formatter, "{} behind sentinels", sentinels.service)
            }
            Servers::Cluster(_) => formatter.write_str("a cluster"),
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
