//! Finding the master that sentinels name.
//!
//! All sentinels are asked at one time and the first answer counts, so that one that is silent
//! costs nothing. What they name is asked for its role before it is used: a sentinel that was cut
//! off may name a master that is none any more.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError, TlsCertificates, Value};
use tokio::task::JoinSet;

use super::address::{Options, client, missing_address, with_host_and_port};

/// The sentinels of a service.
pub(super) struct SentinelService {
    pub(super) service: String,
    sentinels: Vec<Client>,
    /// Of the server they name, but for its address.
    template: ConnectionInfo,
    certificates: Option<TlsCertificates>,
}

impl SentinelService {
    /// User names and passwords in the addresses are those of the sentinels; those in the options
    /// are the server's.
    pub(super) fn new(
        infos: Vec<ConnectionInfo>,
        service: &str,
        options: &Options,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, RedisError> {
        let first = infos.first().cloned().ok_or_else(missing_address)?;
        let mut settings = redis::RedisConnectionInfo::default()
            .set_protocol(redis::ProtocolVersion::RESP3)
            .set_db(options.database.unwrap_or(first.redis_settings().db()));
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

    /// The master, from the first sentinel that names one which is one.
    pub(super) async fn master(&self, timeout: Duration) -> Result<Client, RedisError> {
        let mut lookups = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, service) = (sentinel.clone(), self.service.clone());
            let (template, certificates) = (self.template.clone(), self.certificates.clone());
            lookups.spawn(async move {
                let (host, port) = master_address(&sentinel, &service, timeout).await?;
                let address = with_host_and_port(template.addr(), host, port);
                let master = client(template.set_addr(address), certificates)?;
                check_is_master(&master, timeout).await?;
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

fn connection_config(timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
}

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

async fn check_is_master(server: &Client, timeout: Duration) -> Result<(), RedisError> {
    let mut connection = server
        .get_multiplexed_async_connection_with_config(&connection_config(timeout))
        .await?;
    let role: Result<Vec<Value>, RedisError> =
        redis::cmd("ROLE").query_async(&mut connection).await;
    let name = match role {
        Ok(role) => role.into_iter().next(),
        // A user that may not ask has to believe the sentinel.
        Err(error) if error.code() == Some("NOPERM") => return Ok(()),
        Err(error) => return Err(error),
    };
    match name {
        Some(Value::BulkString(name)) if name == b"master" => Ok(()),
        _ => Err(RedisError::from((
            redis::ErrorKind::NoValidReplicasFoundBySentinel,
            "the server that a sentinel named is no master",
        ))),
    }
}
