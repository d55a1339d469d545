//! Addresses of servers, and the settings of connections to them.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
    TlsCertificates,
};

/// The options of a [`RedisBuilder`](super::RedisBuilder) that concern the connection.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) urls: Vec<String>,
    pub(super) topology: Topology,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: Option<i64>,
    pub(super) root_certificate: Option<Vec<u8>>,
    /// The longest time for which a denial is believed; `None` for the default.
    pub(super) deny_locally: Option<Duration>,
}

/// How the servers at the URLs work together.
#[derive(Clone, Default)]
pub(super) enum Topology {
    #[default]
    Single,
    /// Sentinels that monitor the service of this name.
    Sentinel(String),
    Cluster,
}

/// Parses a URL and adds the options of the builder.
pub(super) fn connection_info(url: &str, options: &Options) -> Result<ConnectionInfo, RedisError> {
    // An unescaped `#` in a password ends the URL's authority early, so the start of the password
    // would be taken for the host.
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
    if !matches!(options.topology, Topology::Cluster) {
        // With RESP3, the redis crate reports when a connection has ended.
        settings = settings.set_protocol(ProtocolVersion::RESP3);
    }
    // Behind sentinels, the options are for the master and the URLs are those of the sentinels.
    if !matches!(options.topology, Topology::Sentinel(_)) {
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

/// Creates a client, with the certificates if the address uses TLS.
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

/// Returns the TLS certificates of the options, if they contain a root certificate.
pub(super) fn certificates(options: &Options) -> Option<TlsCertificates> {
    let root_cert = Some(options.root_certificate.clone()?);
    Some(TlsCertificates {
        client_tls: None,
        root_cert,
    })
}

/// Returns `address` with another host and port and the same TLS settings.
pub(super) fn with_host_and_port(
    address: &ConnectionAddr,
    host: String,
    port: u16,
) -> ConnectionAddr {
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

pub(super) fn missing_address() -> RedisError {
    RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "no address was given",
    ))
}
