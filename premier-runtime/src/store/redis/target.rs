//! The target of a connection, and how to connect to it.

use std::fmt;
use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::{Client, ConnectionAddr, RedisError};

use super::address::{
    Options, Topology, certificates, client, connection_info, missing_address, tcp_settings,
};
#[cfg(feature = "tracing")]
use super::eviction::EvictionWarning;
use super::handshake::Handshake;
use super::sentinel::SentinelService;

pub(super) use super::connection::Connection;

/// What a handler connects to, and how a connection begins.
pub(super) struct Target {
    servers: Servers,
    handshake: Handshake,
    #[cfg(feature = "tracing")]
    eviction: EvictionWarning,
}

/// A server, a service behind sentinels, or a cluster.
enum Servers {
    Single(Client),
    Sentinel(SentinelService),
    Cluster(ClusterClient),
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
            #[cfg(feature = "tracing")]
            eviction: EvictionWarning::default(),
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
        let connection = match &self.servers {
            Servers::Single(client) => {
                Connection::Single(handshake.open(client, timeout, closed).await?)
            }
            Servers::Sentinel(sentinels) => {
                let master = sentinels.master(timeout).await?;
                Connection::Single(handshake.open(&master, timeout, closed).await?)
            }
            Servers::Cluster(client) => {
                let connection = client.get_async_connection().await?;
                handshake.name_nodes(&connection, timeout);
                Connection::Cluster(connection)
            }
        };
        #[cfg(feature = "tracing")]
        self.eviction
            .check_first(&connection, timeout, || format!("{self:?}"));
        Ok(connection)
    }

    /// Warns if the server may evict the keys of limits, once. Asks it in the background for at most `longest`.
    pub(super) fn warn_of_eviction(&self, connection: &Connection, longest: Duration) {
        #[cfg(feature = "tracing")]
        self.eviction
            .check(connection, longest, || format!("{self:?}"));
        #[cfg(not(feature = "tracing"))]
        let _ = (connection, longest);
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
