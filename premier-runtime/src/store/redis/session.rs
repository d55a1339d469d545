//! A connection, and the scripts that were sent over it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::connection::Connection;
use super::script::Script;
use crate::sync::lock_std;

/// A connection, from its beginning to its end.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// The number of the connection, which counts up.
    pub(super) generation: u64,
    /// How often each script has been sent, by its hash.
    sent: Arc<Mutex<HashMap<&'static str, u64>>>,
}

impl Session {
    pub(super) fn new(connection: Connection, generation: u64) -> Self {
        Self {
            connection,
            generation,
            sent: Arc::default(),
        }
    }

    /// Runs a script. `write` appends the number of keys, the keys and the arguments.
    ///
    /// The text is sent once, right before the first call and without waiting for its reply, and all calls
    /// name its hash. A server that has lost the text, after a flush, is sent it again. A node of a cluster,
    /// and a server that refuses `SCRIPT LOAD`, gets the text with a call that it could not run by the hash.
    ///
    /// Repeating a call is safe, because the server has not run a script that it does not know.
    pub(super) async fn eval(
        &mut self,
        script: &'static Script,
        write: impl Fn(&mut Cmd),
    ) -> Result<Value, RedisError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            write(&mut command);
            command
        };
        let by_hash = command("EVALSHA", &script.hash);
        let mut unknown_after = None;
        for _ in 0..2 {
            let (times, is_to_be_sent) = self.next_sending(script, unknown_after);
            let result = match &self.connection {
                Connection::Single(_) if is_to_be_sent => self.load_and(script, &by_hash).await,
                _ => self.connection.req_packed_command(&by_hash).await,
            };
            match result.and_then(checked) {
                // A cluster is not sent the text ahead, so that asking again would not help.
                Err(error) if is_unknown_script(&error) && self.is_cluster() => break,
                Err(error) if is_unknown_script(&error) => unknown_after = Some(times),
                result => return result,
            }
        }
        command("EVAL", script.code)
            .query_async(&mut self.connection)
            .await
    }

    const fn is_cluster(&self) -> bool {
        matches!(self.connection, Connection::Cluster(_))
    }

    /// Returns how often a script has been sent, and whether the caller has to send it once of these times.
    /// `unknown_after` is how often it had been sent when the server did not know it.
    fn next_sending(&self, script: &'static Script, unknown_after: Option<u64>) -> (u64, bool) {
        let mut sent = lock_std(&self.sent);
        let times = sent.entry(&script.hash).or_default();
        let is_to_be_sent = *times == unknown_after.unwrap_or(0);
        *times += u64::from(is_to_be_sent);
        (*times, is_to_be_sent)
    }

    /// Sends a script and a call of it, which the server receives in this order.
    async fn load_and(&self, script: &Script, call: &Cmd) -> Result<Value, RedisError> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(script.code);
        let (mut first, mut second) = (self.connection.clone(), self.connection.clone());
        let mut load = pin!(first.req_packed_command(&load));
        let mut call = pin!(second.req_packed_command(call));
        let mut has_reply = false;
        poll_fn(|context| {
            // Polled first, so that it is sent first. If it is refused, the call fails.
            has_reply = has_reply || load.as_mut().poll(context).is_ready();
            call.as_mut().poll(context)
        })
        .await
    }
}

/// Turns a reply that is an error into one. Scripts return no errors within their replies.
fn checked(reply: Value) -> Result<Value, RedisError> {
    match reply {
        Value::ServerError(_) => reply.extract_error(),
        reply => Ok(reply),
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
