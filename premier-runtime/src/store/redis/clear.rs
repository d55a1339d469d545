//! Removing all keys of a keyspace, on every node.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::timeout;

use super::address::{Options, certificates, client, connection_info, with_host_and_port};
use super::connection::Connection;
use super::failure::{Failure, describe};
use super::keys;
use super::link::no_answer_within;

/// The number of keys that one `SCAN` checks.
const SCAN_COUNT: usize = 1_000;

/// Removes all keys of a keyspace from one server, or from every master of a cluster.
///
/// Each command may take `command_timeout`. The total time grows with the size of the database and
/// has no bound.
pub(super) async fn clear(
    connection: Connection,
    options: &Options,
    keyspace: &str,
    command_timeout: Duration,
) -> Result<(), Failure> {
    match connection {
        Connection::Single(node) => delete_keys(node, keyspace, command_timeout).await,
        Connection::Cluster(mut cluster) => {
            let slots: Value = bounded(
                command_timeout,
                redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut cluster),
            )
            .await?;
            for address in master_addresses(slots)? {
                let node = bounded(
                    command_timeout,
                    connect_to(&address, options, command_timeout),
                )
                .await?;
                delete_keys(node, keyspace, command_timeout).await?;
            }
            Ok(())
        }
    }
}

/// Removes all keys of a keyspace from one node.
async fn delete_keys(
    mut node: MultiplexedConnection,
    keyspace: &str,
    command_timeout: Duration,
) -> Result<(), Failure> {
    // A value that is saved while `SCAN` is on its way may be passed over. Without their tokens, none is saved
    // any more whose computation began before.
    #[cfg(feature = "cache")]
    delete_matching(&mut node, &keys::token_pattern(keyspace), command_timeout).await?;
    delete_matching(&mut node, &keys::pattern(keyspace), command_timeout).await
}

/// Removes all keys that match a pattern from one node, each with its own `UNLINK`: in a cluster, one command
/// must not name keys of different slots.
async fn delete_matching(
    node: &mut MultiplexedConnection,
    pattern: &str,
    command_timeout: Duration,
) -> Result<(), Failure> {
    let mut cursor: u64 = 0;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(SCAN_COUNT);
        let (next, found): (u64, Vec<Vec<u8>>) =
            bounded(command_timeout, scan.query_async(node)).await?;
        if !found.is_empty() {
            let mut unlink = redis::pipe();
            for key in &found {
                unlink.cmd("UNLINK").arg(key).ignore();
            }
            bounded(command_timeout, unlink.exec_async(node)).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// Connects to one node of a cluster, with the credentials and TLS settings of the first URL.
async fn connect_to(
    (host, port): &(String, u16),
    options: &Options,
    command_timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let first = options.urls.first().map(String::as_str).unwrap_or_default();
    let info = connection_info(first, options)?;
    let address = with_host_and_port(info.addr(), host.clone(), *port);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(command_timeout))
        .set_response_timeout(Some(command_timeout));
    client(info.set_addr(address), certificates(options))?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// Reads the addresses of all masters from a reply to `CLUSTER SLOTS`.
///
/// # Errors
/// When a master has no address, because its keys could not be removed.
fn master_addresses(slots: Value) -> Result<Vec<(String, u16)>, Failure> {
    let unreadable = || Failure::from("the cluster does not report the addresses of its masters");
    let ranges: Vec<Vec<Value>> = redis::from_redis_value(slots).map_err(|_| unreadable())?;
    let mut addresses = ranges
        .into_iter()
        .map(|range| {
            let master = range.into_iter().nth(2)?;
            let mut master = redis::from_redis_value::<Vec<Value>>(master)
                .ok()?
                .into_iter();
            let host = redis::from_redis_value::<String>(master.next()?).ok()?;
            let port = redis::from_redis_value::<u16>(master.next()?).ok()?;
            (!host.is_empty()).then_some((host, port))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(unreadable)?;
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// Runs a command for at most `command_timeout`.
async fn bounded<T>(
    command_timeout: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, Failure> {
    match timeout(command_timeout, work).await {
        Ok(result) => result.map_err(describe),
        Err(_) => Err(no_answer_within(command_timeout)),
    }
}
