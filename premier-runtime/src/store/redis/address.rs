//! Addresses of servers, and the settings of connections to them.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisError, TlsCertificates,
};

/// The options of a [`RedisBuilder`](super::RedisBuilder) that concern the connection.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) urls: Vec<String>,
    pub(super) topology: Topology,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: Option<i64>,
    pub(super) root_certificate: Option<Vec<u8>>,
    /// The longest time for which a denial is believed; `None` for the default.
    pub(super) deny_locally: Option<Duration>,
    pub(super) client_certificate: Option<ClientTlsConfig>,
    /// Empty for none.
    pub(super) client_name: String,
    pub(super) tcp_keepalive: Option<Duration>,
    pub(super) hash_keys: bool,
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
    if matches!(options.topology, Topology::Single) && !names_protocol(url) {
        // With RESP3, the redis crate reports when a connection has ended.
        settings = settings.set_protocol(ProtocolVersion::RESP3);
    }
    if options.client_name.is_empty() {
        settings = settings.set_skip_set_lib_name();
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
        .set_tcp_settings(tcp_settings(options)))
}

/// Whether a URL says which protocol to speak.
pub(super) fn names_protocol(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|part| part.starts_with("protocol="))
}

/// Returns a client that sends no `HELLO`, which some proxies refuse.
pub(super) fn speaking_resp2(client: &Client) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone();
    Client::open(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP2)))
}

/// Returns the settings of the sockets.
pub(super) fn tcp_settings(options: &Options) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    match options.tcp_keepalive {
        Some(idle) => settings.set_keepalive(keepalive(idle)),
        None => settings,
    }
}

/// Probes a connection that was idle for this long, and a third as long after each probe.
fn keepalive(idle: Duration) -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(idle);
    // Elsewhere the system chooses how long after.
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        windows
    ))]
    let keepalive = keepalive.with_interval((idle / 3).max(Duration::from_secs(1)));
    keepalive
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

/// Returns the TLS certificates of the options, if they contain any.
pub(super) fn certificates(options: &Options) -> Option<TlsCertificates> {
    let (root_cert, client_tls) = (&options.root_certificate, &options.client_certificate);
    (root_cert.is_some() || client_tls.is_some()).then(|| TlsCertificates {
        client_tls: client_tls.clone(),
        root_cert: root_cert.clone(),
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
