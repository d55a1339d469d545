//! Cached values that processes share through Redis.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::failure::Failure;
use super::failure::backend;
use super::handler::RedisHandler;
use super::keys;
use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;
use crate::store::values::{Loaded, ValueStore};

/// Returns a value and its remaining time in milliseconds, in one round trip.
const LOAD: &str = "return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }";

impl RedisHandler {
    fn command(&self, key: Key<'_>, build: impl FnOnce(&str) -> redis::Cmd) -> CommandFuture {
        let key = keys::value_key(&key, self.shared.options.hash_keys);
        let command = build(&key);
        let link = std::sync::Arc::clone(&self.shared.link);
        Box::pin(async move { link.command(Some(&key), &command).await })
    }

    fn load_command(&self, key: Key<'_>) -> CommandFuture {
        self.command(key, |key| {
            let mut command = redis::cmd("EVAL");
            command.arg(LOAD).arg(1).arg(key);
            command
        })
    }

    fn forget_command(&self, key: Key<'_>) -> CommandFuture {
        self.command(key, |key| {
            let mut command = redis::cmd("UNLINK");
            command.arg(key);
            command
        })
    }
}

type CommandFuture = BoxFuture<'static, Result<Value, Failure>>;

fn parse_loaded(reply: Value) -> Result<Loaded, Error> {
    let (value, left): (Option<Vec<u8>>, i64) = FromRedisValue::from_redis_value(reply)
        .map_err(|error| backend(error.to_string().into()))?;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    Ok(value.map(|value| (value, left)))
}

impl ValueStore for RedisHandler {
    fn load(&self, key: Key<'_>) -> Result<Loaded, Error> {
        self.block(Some(self.timeout()), self.load_command(key))
            .and_then(parse_loaded)
    }

    fn load_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<Loaded, Error>> {
        let load = self.load_command(key);
        Box::pin(async move {
            self.spawn(Some(self.timeout()), load)
                .await
                .and_then(parse_loaded)
        })
    }

    fn save(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let save = self.command(key, |key| {
            let mut command = redis::cmd("SET");
            command.arg(key).arg(value).arg("PX").arg(millis);
            command
        });
        let _ = self.start(async move { drop(save.await) });
    }

    fn forget(&self, key: Key<'_>) -> Result<(), Error> {
        self.block(Some(self.timeout()), self.forget_command(key))
            .map(drop)
    }

    fn forget_async<'a>(&'a self, key: Key<'a>) -> BoxFuture<'a, Result<(), Error>> {
        let forget = self.forget_command(key);
        Box::pin(async move { self.spawn(Some(self.timeout()), forget).await.map(drop) })
    }
}
