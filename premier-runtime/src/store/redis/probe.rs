//! Asking whether a server takes writes again.

use redis::RedisError;

use super::target::Connection;

/// Whether the server takes writes. One that answers a `PING` may have become a replica, be out of
/// memory or paused. Nothing is changed.
pub(super) async fn probe(connection: &mut Connection, key: &str) -> Result<(), RedisError> {
    // Writes no byte to a string, fails on a list for its type, and is refused where writes are.
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
        // Such a user may still be allowed what calls do.
        Err(error) if error.code() == Some("NOPERM") => Ok(()),
        result => result,
    }
}
