//! Finding the master of a service through its sentinels.
//!
//! All sentinels are asked at once and the first usable answer counts, so a sentinel that does not
//! answer causes no delay. The named server must confirm with `ROLE` that it is a master, because a
//! sentinel that was disconnected may name a former one.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisError, TlsCertificates,
    Value,
};
use tokio::task::JoinSet;

use super::address::{
    Options, client, missing_address, names_protocol, speaking_resp2, with_host_and_port,
};

/// A service monitored by sentinels.
pub(super) struct SentinelService {
    /// The name of the service.
    pub(super) service: String,
    sentinels: Vec<Client>,
    /// The connection settings of the master. The address is replaced by the one sentinels return.
    template: ConnectionInfo,
    certificates: Option<TlsCertificates>,
}

impl SentinelService {
    /// Creates clients for the sentinels at `infos`. Credentials in `infos` are for the sentinels, and
    /// those in `options` for the master.
    pub(super) fn new(
        infos: Vec<ConnectionInfo>,
        service: &str,
        options: &Options,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, RedisError> {
        let first = infos.first().cloned().ok_or_else(missing_address)?;
        let mut settings = redis::RedisConnectionInfo::default()
            .set_protocol(protocol(&first, options))
            .set_db(options.database.unwrap_or(first.redis_settings().db()));
        if options.client_name.is_empty() {
            settings = settings.set_skip_set_lib_name();
        }
        if let Some(username) = &options.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &options.password {
            settings = settings.set_password(password);
        }
        let sentinels = infos
            .into_iter()
            .map(|info| {
                // SentinelService have no databases.
                let settings = info.redis_settings().clone().set_db(0);
                client(info.set_redis_settings(settings), certificates.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            service: service.to_owned(),
            sentinels,
            template: first.set_redis_settings(settings),
            certificates,
        })
    }

    /// Returns a client for the master: the first server that a sentinel names and that confirms its
    /// role.
    pub(super) async fn master(&self, timeout: Duration) -> Result<Client, RedisError> {
        let mut lookups = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, service) = (sentinel.clone(), self.service.clone());
            let (template, certificates) = (self.template.clone(), self.certificates.clone());
            lookups.spawn(async move {
                let (host, port) = master_address(&sentinel, &service, timeout).await?;
                let address = with_host_and_port(template.addr(), host, port);
                let master = client(template.set_addr(address), certificates)?;
                check_is_master(&speaking_resp2(&master)?, timeout).await?;
                Ok::<Client, RedisError>(master)
            });
        }
        let mut failure = missing_address();
        while let Some(answer) = lookups.join_next().await {
            match answer {
                Ok(Ok(master)) => return Ok(master),
                Ok(Err(error)) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }
}

/// The protocol of the URL, or the one by which the redis crate reports when a connection has ended.
fn protocol(first: &ConnectionInfo, options: &Options) -> ProtocolVersion {
    match options.urls.first() {
        Some(url) if names_protocol(url) => first.redis_settings().protocol(),
        _ => ProtocolVersion::RESP3,
    }
}

fn connection_config(timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
}

/// Asks a sentinel for the host and port of the service's master.
async fn master_address(
    sentinel: &Client,
    service: &str,
    timeout: Duration,
) -> Result<(String, u16), RedisError> {
    let mut connection = sentinel
        .get_multiplexed_async_connection_with_config(&connection_config(timeout))
        .await?;
    let named: Option<(String, u16)> = redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(service)
        .query_async(&mut connection)
        .await?;
    named.ok_or_else(|| {
        RedisError::from((
            redis::ErrorKind::MasterNameNotFoundBySentinel,
            "the sentinels do not know this service",
        ))
    })
}

/// Asks a server whether it is a master.
///
/// # Errors
/// When it is not, or does not answer.
async fn check_is_master(server: &Client, timeout: Duration) -> Result<(), RedisError> {
    let mut connection = server
        .get_multiplexed_async_connection_with_config(&connection_config(timeout))
        .await?;
    let role: Result<Vec<Value>, RedisError> =
        redis::cmd("ROLE").query_async(&mut connection).await;
    let name = match role {
        Ok(role) => role.into_iter().next(),
        // The user may not run ROLE, so the answer of the sentinel has to be trusted.
        Err(error) if error.code() == Some("NOPERM") => return Ok(()),
        Err(error) => return Err(error),
    };
    match name {
        Some(Value::BulkString(name)) if name == b"master" => Ok(()),
        _ => Err(RedisError::from((
            redis::ErrorKind::NoValidReplicasFoundBySentinel,
            "the server that a sentinel named is not a master",
        ))),
    }
}
