//! The beginning of a connection: the protocol, and the name that `CLIENT LIST` shows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind,
    Value,
};

use super::address::speaking_resp2;

/// How connections of a handler begin.
pub(super) struct Handshake {
    /// Empty for none.
    client_name: String,
    /// Whether a server or proxy has refused `HELLO`. It is not sent again, to save a round trip.
    is_hello_refused: AtomicBool,
}

impl Handshake {
    pub(super) fn new(client_name: &str) -> Self {
        Self {
            client_name: client_name.to_owned(),
            is_hello_refused: AtomicBool::new(false),
        }
    }

    /// Opens a connection with RESP3, or with RESP2 if `HELLO` is refused. `closed` is called when the
    /// connection ends, but with RESP2 only a call notices that.
    pub(super) async fn open(
        &self,
        client: &Client,
        timeout: Duration,
        closed: impl Fn() + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        // The handler limits every call, so the connection needs no response timeout.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(None);
        let speaks_resp3 = client
            .get_connection_info()
            .redis_settings()
            .protocol()
            .supports_resp3();
        let connection = if !speaks_resp3 || self.is_hello_refused.load(Ordering::Relaxed) {
            connect(&speaking_resp2(client)?, &config).await?
        } else {
            let reporting = config.clone().set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    closed();
                }
                Ok::<(), SendError>(())
            });
            match connect(client, &reporting).await {
                Err(error) if refuses_hello(&error) => {
                    let connection = connect(&speaking_resp2(client)?, &config).await?;
                    self.is_hello_refused.store(true, Ordering::Relaxed);
                    connection
                }
                result => result?,
            }
        };
        if let Some(name) = self.set_name() {
            let mut connection = connection.clone();
            in_background(timeout, async move {
                connection.req_packed_command(&name).await
            });
        }
        Ok(connection)
    }

    /// Names the connections to the nodes of a cluster that are there by now.
    pub(super) fn name_nodes(&self, connection: &ClusterConnection, timeout: Duration) {
        if let Some(name) = self.set_name() {
            let mut connection = connection.clone();
            let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllNodes, None));
            in_background(
                timeout,
                async move { connection.route_command(name, all).await },
            );
        }
    }

    fn set_name(&self) -> Option<Cmd> {
        let mut command = redis::cmd("CLIENT");
        command.arg("SETNAME").arg(&self.client_name);
        (!self.client_name.is_empty()).then_some(command)
    }
}

/// Runs a command and ignores its outcome: the user may not be allowed to run it.
fn in_background(
    longest: Duration,
    command: impl Future<Output = Result<Value, RedisError>> + Send + 'static,
) {
    tokio::spawn(async move { tokio::time::timeout(longest, command).await.map(drop) });
}

async fn connect(
    client: &Client,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    client
        .get_multiplexed_async_connection_with_config(config)
        .await
}

/// Whether an error means that the other side does not know `HELLO` or RESP3. Wrong credentials have codes
/// of their own.
fn refuses_hello(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::RESP3NotSupported | ErrorKind::Server(ServerErrorKind::ResponseError)
    ) || error.code() == Some("NOPROTO")
}
