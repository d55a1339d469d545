//! Probing whether a server accepts writes.

use redis::RedisError;

use super::target::Connection;

/// Checks that the server accepts writes to `key`, without changing the key.
///
/// `PING` is not enough: a server that answers it may be a replica, out of memory or paused.
pub(super) async fn probe(connection: &mut Connection, key: &str) -> Result<(), RedisError> {
    // Writing an empty string at offset 0 changes nothing, but is rejected where writes are. On a
    // list it fails with WRONGTYPE, which also shows that writes are accepted.
    const WRITE: &str = "local r = redis.pcall('SETRANGE', KEYS[1], 0, '') \
        if type(r) == 'table' and r.err and not string.find(r.err, 'WRONGTYPE') then return r end \
        return 1";
    let refused = redis::cmd("EVAL")
        .arg(WRITE)
        .arg(1)
        .arg(key)
        .exec_async(connection)
        .await;
    match refused {
        // The user may not run SETRANGE but may be allowed the commands of limits.
        Err(error) if error.code() == Some("NOPERM") => Ok(()),
        result => result,
    }
}
