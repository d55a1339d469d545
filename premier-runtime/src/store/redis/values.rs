//! Cached values that processes share through Redis.
//!
//! While a value is computed, a second key beside it holds the token of the computation. The first process that
//! finds no value writes the token, and other processes that compute meanwhile use it. Saving a value checks and
//! removes the token, and removing the value removes the token as well, so that a value computed from older data is
//! not saved. A token that Redis has lost, by eviction or a failover, is invalid too.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};

use super::failure::Failure;
use super::failure::backend;
use super::handler::RedisHandler;
use super::keys;
use crate::error::Error;
use crate::key::full::Key;
use crate::store::request::BoxFuture;
use crate::store::values::{LoadToken, Loaded, ValueStore};

/// The longest time of a computation whose value is saved.
const TOKEN_TTL: Duration = Duration::from_secs(3_600);

/// How long the token of a computation that has ended without a value stays for other processes.
const ABANDONED_TOKEN_TTL: Duration = Duration::from_secs(60);

/// Returns a value and its remaining time in milliseconds, in one round trip.
const LOAD: &str = "return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }";

/// As `LOAD`, and the token if no more than `ARGV[1]` milliseconds are left. `ARGV[2]` is the token if there is
/// none yet, `ARGV[3]` its TTL. A key of another type counts as missing, and is overwritten.
const LOAD_OR_BEGIN: &str = "\
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' then value = false end
local left = redis.call('PTTL', KEYS[1])
if value and left > tonumber(ARGV[1]) then return { value, left, false } end
local token = redis.call('GET', KEYS[2]) or ARGV[2]
redis.call('SET', KEYS[2], token, 'PX', ARGV[3])
return { value, left, token }";

/// Saves the value `ARGV[1]` for `ARGV[2]` milliseconds if `ARGV[3]` is the token.
const SAVE_BEGUN: &str = "\
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Sets the TTL of the token `ARGV[1]` to `ARGV[2]` milliseconds.
const ABANDON: &str = "\
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])";

impl RedisHandler {
    /// Sends a command with the keys of a value and of its token.
    fn command(&self, key: Key<'_>, build: impl FnOnce(&str, &str) -> Cmd) -> CommandFuture {
        let value_key = keys::value_key(&key, self.shared.options.hash_keys);
        let token_key = keys::token_key(&key, &value_key);
        let command = build(&value_key, &token_key);
        let link = std::sync::Arc::clone(&self.shared.link);
        Box::pin(async move { link.command(Some(&value_key), &command).await })
    }

    /// Runs a script with both keys. Its text is sent each time: commands that are sent by their hash may be
    /// carried out after later ones.
    fn eval(
        &self,
        key: Key<'_>,
        script: &str,
        push_arguments: impl FnOnce(&mut Cmd),
    ) -> CommandFuture {
        self.command(key, |value_key, token_key| {
            let mut command = redis::cmd("EVAL");
            command.arg(script).arg(2).arg(value_key).arg(token_key);
            push_arguments(&mut command);
            command
        })
    }

    fn load_command(&self, key: Key<'_>) -> CommandFuture {
        self.command(key, |value_key, _| {
            let mut command = redis::cmd("EVAL");
            command.arg(LOAD).arg(1).arg(value_key);
            command
        })
    }

    fn load_or_begin_command(&self, key: Key<'_>, stale: Duration) -> CommandFuture {
        self.eval(key, LOAD_OR_BEGIN, |command| {
            // Scripts count with doubles, and nothing expires that late.
            let stale = millis(stale).min(1 << 53);
            command.arg(stale).arg(new_token()).arg(millis(TOKEN_TTL));
        })
    }

    fn forget_command(&self, key: Key<'_>) -> CommandFuture {
        self.command(key, |value_key, token_key| {
            let mut command = redis::cmd("UNLINK");
            command.arg(value_key).arg(token_key);
            command
        })
    }

    /// Carries out a command in the background.
    fn send(&self, command: CommandFuture) {
        let _ = self.start(async move { drop(command.await) });
    }
}

/// A token that is unique among all processes, by the random keys that std takes from the operating system.
fn new_token() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

type CommandFuture = BoxFuture<'static, Result<Value, Failure>>;

fn parse_loaded(reply: Value) -> Result<Loaded, Error> {
    let (value, left): (Option<Vec<u8>>, i64) = FromRedisValue::from_redis_value(reply)
        .map_err(|error| backend(error.to_string().into()))?;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    Ok(value.map(|value| (value, left)))
}

fn parse_begun(reply: Value) -> Result<(Loaded, Option<LoadToken>), Error> {
    type Reply = (Option<Vec<u8>>, i64, Option<Vec<u8>>);
    let (value, left, token): Reply = FromRedisValue::from_redis_value(reply)
        .map_err(|error| backend(error.to_string().into()))?;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    Ok((value.map(|value| (value, left)), token.map(LoadToken::new)))
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
        self.send(self.command(key, |value_key, _| {
            let mut command = redis::cmd("SET");
            command.arg(value_key).arg(value);
            command.arg("PX").arg(millis(ttl).max(1));
            command
        }));
    }

    fn load_or_begin(
        &self,
        key: Key<'_>,
        stale: Duration,
    ) -> Result<(Loaded, Option<LoadToken>), Error> {
        self.block(Some(self.timeout()), self.load_or_begin_command(key, stale))
            .and_then(parse_begun)
    }

    fn load_or_begin_async<'a>(
        &'a self,
        key: Key<'a>,
        stale: Duration,
    ) -> BoxFuture<'a, Result<(Loaded, Option<LoadToken>), Error>> {
        let load = self.load_or_begin_command(key, stale);
        Box::pin(async move {
            self.spawn(Some(self.timeout()), load)
                .await
                .and_then(parse_begun)
        })
    }

    fn save_begun(&self, key: Key<'_>, value: Vec<u8>, ttl: Duration, token: LoadToken) {
        self.send(self.eval(key, SAVE_BEGUN, |command| {
            command.arg(value).arg(millis(ttl).max(1));
            command.arg(token.as_bytes());
        }));
    }

    fn abandon(&self, key: Key<'_>, token: LoadToken) {
        self.send(self.eval(key, ABANDON, |command| {
            command
                .arg(token.as_bytes())
                .arg(millis(ABANDONED_TOKEN_TTL));
        }));
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
