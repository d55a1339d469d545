//! The warning that a server may evict the keys of limits.
//!
//! A limit whose key was evicted begins anew, which admits more calls than the limit allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::Value;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use tokio::time::timeout;

use super::connection::Connection;

/// Warns once, however often servers are found to evict keys.
#[derive(Default)]
pub(super) struct EvictionWarning {
    was_emitted: Arc<AtomicBool>,
    has_seen_connection: AtomicBool,
}

impl EvictionWarning {
    /// As [`EvictionWarning::check`], for the first connection only.
    pub(super) fn check_first(
        &self,
        connection: &Connection,
        longest: Duration,
        redis: impl FnOnce() -> String,
    ) {
        if !self.has_seen_connection.swap(true, Ordering::Relaxed) {
            self.check(connection, longest, redis);
        }
    }

    /// Asks the server in the background how it evicts keys, and warns if it may evict keys of limits. A server
    /// that does not answer within `longest`, or does not allow the command, causes no warning. `redis` returns the
    /// address for the warning.
    pub(super) fn check(
        &self,
        connection: &Connection,
        longest: Duration,
        redis: impl FnOnce() -> String,
    ) {
        if self.was_emitted.load(Ordering::Relaxed) {
            return;
        }
        let (was_emitted, redis) = (Arc::clone(&self.was_emitted), redis());
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let Ok(Some(info)) = timeout(longest, memory_info(&mut connection)).await else {
                return;
            };
            drop(connection);
            if let Some(policy) = evicting_policy(&info).map(str::to_owned)
                && !was_emitted.swap(true, Ordering::Relaxed)
            {
                // A subscriber may block, and this thread drives connections.
                tokio::task::spawn_blocking(move || {
                    tracing::warn!(
                        target: "premier",
                        redis,
                        policy,
                        "redis may evict the keys of limits, which then begin anew: \
                         set maxmemory-policy to noeviction or volatile-ttl"
                    );
                });
            }
        });
    }
}

/// Returns the section `memory` of `INFO` from the server, or from any node of a cluster.
async fn memory_info(connection: &mut Connection) -> Option<String> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let reply: Value = match connection {
        Connection::Single(single) => info.query_async(single).await,
        Connection::Cluster(cluster) => {
            let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
            cluster.route_command(info, any).await
        }
    }
    .ok()?;
    redis::from_redis_value(reply).ok()
}

/// Returns the policy by which a server with limited memory evicts keys of limits that are in use.
///
/// Keys of limits all have a TTL. `volatile-ttl` evicts the keys that would expire first.
fn evicting_policy(info: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let is_limited = field("maxmemory")? != "0";
    let policy = field("maxmemory_policy")?;
    let evicts = policy.starts_with("allkeys-")
        || (policy.starts_with("volatile-") && policy != "volatile-ttl");
    (is_limited && evicts).then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy_of(maxmemory: &str, policy: &str) -> bool {
        let info = format!(
            "# Memory\r\nmaxmemory:{maxmemory}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n"
        );
        evicting_policy(&info) == Some(policy)
    }

    #[test]
    fn policies_that_evict_keys_in_use_are_known() {
        for policy in [
            "allkeys-lru",
            "allkeys-random",
            "volatile-lfu",
            "volatile-lru",
        ] {
            assert!(policy_of("1000", policy) && !policy_of("0", policy));
        }
        for policy in ["noeviction", "volatile-ttl"] {
            assert!(!policy_of("1000", policy));
        }
        assert_eq!(evicting_policy("# Memory\r\n"), None);
    }
}
