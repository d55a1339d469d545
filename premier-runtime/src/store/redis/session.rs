//! A connection with the scripts that its server is known to have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::OnceCell;

use super::connection::Connection;
use super::failure::is_connection_error;
use super::link::lock;
use super::script::Script;

/// A connection, from its beginning to its end.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// How many connections there have been.
    pub(super) generation: u64,
    loaded: Arc<Mutex<HashMap<&'static str, Arc<Loaded>>>>,
}

/// Set once the server has been given the text of a script: whether it has accepted it.
type Loaded = OnceCell<bool>;

impl Session {
    pub(super) fn new(connection: Connection, generation: u64) -> Self {
        Self {
            connection,
            generation,
            loaded: Arc::default(),
        }
    }

    /// Runs a script. `write` appends the number of keys, the keys and the arguments.
    ///
    /// The text is sent once, before the first call, and all calls name its hash. A server that has lost the
    /// text, after a flush or a failover, is given it again. Each node of a cluster, and a server that
    /// refuses `SCRIPT LOAD`, gets the text with a call that it could not run by the hash.
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
        for _ in 0..2 {
            let loaded = Arc::clone(lock(&self.loaded).entry(&script.hash).or_default());
            if !self.load(script, &loaded).await? {
                break;
            }
            let result = command("EVALSHA", &script.hash)
                .query_async(&mut self.connection)
                .await;
            match result {
                Err(error) if is_unknown_script(&error) => self.forget(script, &loaded),
                result => return result,
            }
        }
        let result = command("EVALSHA", &script.hash)
            .query_async(&mut self.connection)
            .await;
        match result {
            Err(error) if is_unknown_script(&error) => {
                command("EVAL", script.code)
                    .query_async(&mut self.connection)
                    .await
            }
            result => result,
        }
    }

    /// Gives the server the text of a script, unless that has been done. Callers that come meanwhile wait.
    async fn load(&mut self, script: &Script, loaded: &Loaded) -> Result<bool, RedisError> {
        let Connection::Single(connection) = &mut self.connection else {
            return Ok(false);
        };
        let load = async || {
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(script.code);
            match command.exec_async(connection).await {
                Ok(()) => Ok(true),
                Err(error) if is_connection_error(&error) => Err(error),
                Err(_) => Ok(false),
            }
        };
        loaded.get_or_try_init(load).await.copied()
    }

    fn forget(&self, script: &Script, loaded: &Arc<Loaded>) {
        let mut all = lock(&self.loaded);
        if all
            .get(&*script.hash)
            .is_some_and(|known| Arc::ptr_eq(known, loaded))
        {
            all.remove(&*script.hash);
        }
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
