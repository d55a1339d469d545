//! Probing whether a server can decide.

use redis::RedisError;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};

use super::connection::Connection;
use super::script::PROBE;

/// The key that [`ping`] decides about.
pub(super) const PING_KEY: &str = "premier:ping";

/// The arguments of a fixed window that is never exceeded.
const ARGUMENTS: [&str; 7] = [
    "take",
    "",
    "fixed_window",
    "1000000",
    "0",
    "1000000000000",
    "1",
];

/// Checks that the server can decide about keys in the slot of `key`, by deciding about another key of
/// this slot, which it removes. This needs only commands that limits need.
///
/// `PING` is not enough: a server that answers it may be a replica, out of memory or paused.
pub(super) async fn probe(connection: &mut Connection, key: &str) -> Result<(), RedisError> {
    // By its text, because a server that was down may not know its hash.
    let decided = redis::cmd("EVAL")
        .arg(PROBE.code)
        .arg(1)
        .arg(probe_key(key))
        .arg(&ARGUMENTS)
        .exec_async(connection)
        .await;
    match decided {
        // The server decides. The user may only access keys of another keyspace than that of `PING_KEY`.
        Err(error) if is_forbidden_key(&error) => Ok(()),
        result => result,
    }
}

/// Checks that the server can decide, and that every master of a cluster runs scripts.
pub(super) async fn ping(connection: &mut Connection) -> Result<(), RedisError> {
    if let Connection::Cluster(cluster) = connection {
        let mut time = redis::cmd("EVAL");
        time.arg("return redis.call('TIME')").arg(0);
        let masters = MultipleNodeRoutingInfo::AllMasters;
        let every = RoutingInfo::MultiNode((masters, Some(ResponsePolicy::AllSucceeded)));
        cluster.route_command(time, every).await?;
    }
    probe(connection, PING_KEY).await
}

/// Returns a key in the keyspace and the slot of `key` that belongs to no limit.
fn probe_key(key: &str) -> String {
    let keyspace = key.split_once(':').map_or(key, |(keyspace, _)| keyspace);
    let tagged = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let tag = tagged.map_or(key, |(tag, _)| tag);
    format!("{keyspace}:{{{tag}}}:probe")
}

/// Whether a user may not access a key, as opposed to a command. The words of Redis 6 and 7.0, and those of
/// later ones and Valkey, have in common that only a command is "run".
fn is_forbidden_key(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        && error
            .detail()
            .is_none_or(|detail| !detail.contains("permissions to run"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::keys::slot;

    #[test]
    fn a_probe_is_in_the_keyspace_and_the_slot_of_its_key() {
        for key in ["shop:f:tat:k", "shop:{f:k}:0:tat", "shop:%7Bf%7D", "k"] {
            let probe = probe_key(key);
            assert_eq!(slot(&probe), slot(key), "{probe}");
            assert_eq!(probe.split(':').next(), key.split(':').next());
        }
    }
}
