//! The connection of a handler, and what is known of the server's health.
//!
//! While the server is known to be down, calls fail at once; probes in the background find out when
//! it is back. In a cluster that is known for each range of slots by itself, so a master that has died
//! stops the keys of no other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::failure::{Failure, describe, is_connection_error};
use super::keys;
use super::probe::probe;
use super::script::Call;
use super::slot_ranges::SlotRangeOutages;
use super::target::{Connection, Target};
use crate::telemetry;

/// The longest delay between two probes of a server that is down.
pub(super) const MAX_PROBE_DELAY: Duration = Duration::from_millis(250);
pub(super) const MIN_PROBE_DELAY: Duration = Duration::from_millis(10);

/// The shared side of a connection.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    pub(super) state: watch::Sender<State>,
    /// Generations of connections that were found to be broken.
    pub(super) broken: Mutex<Option<mpsc::UnboundedSender<u64>>>,
    /// The key of the call that last found a connection broken; probes ask about it.
    pub(super) last_failed_key: Mutex<Option<String>>,
    /// Whether an outage has been reported that has not ended.
    is_outage_open: AtomicBool,
    slot_ranges: SlotRangeOutages,
    pub(super) outages: AtomicU64,
}

#[derive(Clone)]
pub(super) enum State {
    /// A first or a new connection is being made; calls wait for it.
    Connecting,
    Up(Connection, u64),
    /// Known to be down, and why; calls do not wait.
    Down(Arc<str>),
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            state: watch::Sender::new(State::Connecting),
            broken: Mutex::default(),
            last_failed_key: Mutex::default(),
            is_outage_open: AtomicBool::new(false),
            slot_ranges: SlotRangeOutages::default(),
            outages: AtomicU64::new(0),
        }
    }

    /// Whether the server answered last.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(..)) && self.slot_ranges.is_empty()
    }

    /// Runs a script within the timeout.
    pub(super) async fn run(
        self: &Arc<Self>,
        keys: &[String],
        call: &Call,
    ) -> Result<Value, Failure> {
        self.bounded(keys.first().map(String::as_str), async |connection| {
            eval(connection, keys, call).await
        })
        .await
    }

    /// Runs a command within the timeout.
    pub(super) async fn command(
        self: &Arc<Self>,
        key: Option<&str>,
        command: &redis::Cmd,
    ) -> Result<Value, Failure> {
        self.bounded(key, async |connection| {
            command.query_async(connection).await
        })
        .await
    }

    /// A connection, as soon as there is one.
    pub(super) async fn connection(&self) -> Result<(Connection, u64), Failure> {
        let mut state = self.state.subscribe();
        let known = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            .map_err(|_| Failure::from("the connection was closed"))?;
        match &*known {
            State::Up(connection, generation) => Ok((connection.clone(), *generation)),
            State::Down(reason) => Err(Arc::clone(reason)),
            State::Connecting => Err("the connection is not ready".into()),
        }
    }

    async fn bounded(
        self: &Arc<Self>,
        key: Option<&str>,
        work: impl AsyncFnOnce(&mut Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, Failure> {
        let slot = key.filter(|_| self.target.is_cluster()).map(keys::slot);
        if let Some(reason) = slot.and_then(|slot| self.slot_ranges.reason(slot)) {
            return Err(reason);
        }
        let mut used = None;
        let result = timeout(self.timeout, async {
            let (mut connection, generation) = self.connection().await?;
            used = Some(generation);
            work(&mut connection).await.map_err(CallError::Redis)
        })
        .await;
        let (failure, lost): (Failure, bool) = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(CallError::Down(reason))) => return Err(reason),
            Ok(Err(CallError::Redis(error))) => (describe(&error), is_connection_error(&error)),
            Err(_) => (format!("no answer within {:?}", self.timeout).into(), true),
        };
        if lost {
            match (slot, used, key) {
                (Some(slot), Some(_), Some(key)) => self.report_range_down(slot, key, &failure),
                (None, Some(generation), _) => {
                    if let Some(key) = key {
                        *lock(&self.last_failed_key) = Some(key.to_owned());
                    }
                    self.report_broken(generation);
                }
                _ => {}
            }
        }
        Err(failure)
    }

    /// Reports a connection as broken; one report for each generation has an effect.
    pub(super) fn report_broken(&self, generation: u64) {
        let was_up = self.state.send_if_modified(|state| match state {
            State::Up(_, current) if *current == generation => {
                *state = State::Connecting;
                true
            }
            _ => false,
        });
        if let (true, Some(broken)) = (was_up, &*lock(&self.broken)) {
            // Without a driver there is nobody left to connect for.
            let _ = broken.send(generation);
        }
    }

    /// Reports an outage, once until it is over.
    pub(super) fn record_outage(&self, reason: &Failure) {
        if !self.is_outage_open.swap(true, Ordering::Relaxed) {
            self.emit_outage(reason);
        }
    }

    pub(super) fn record_recovery(&self) {
        *lock(&self.last_failed_key) = None;
        telemetry::record_backend_up(true);
        if self.is_outage_open.swap(false, Ordering::Relaxed) {
            self.emit_recovery();
        }
    }

    fn emit_outage(&self, reason: &Failure) {
        self.outages.fetch_add(1, Ordering::Relaxed);
        let _ = reason;
        telemetry::record_backend_up(false);
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "premier", redis = ?self.target, %reason, "redis is down");
    }

    fn emit_recovery(&self) {
        #[cfg(feature = "tracing")]
        tracing::info!(target: "premier", redis = ?self.target, "redis is back");
    }

    /// Marks a slot as down, then all slots of its master, and probes until it answers.
    fn report_range_down(self: &Arc<Self>, slot: u16, key: &str, reason: &Failure) {
        let Some(id) = self.slot_ranges.add(slot, reason) else {
            return;
        };
        let (link, key, reason) = (Arc::clone(self), key.to_owned(), Arc::clone(reason));
        tokio::spawn(async move {
            let master = timeout(link.timeout, link.slots_of_master(slot)).await;
            if let Ok(Some(slots)) = master
                && !link.slot_ranges.extend(id, slots)
            {
                return;
            }
            link.emit_outage(&reason);
            link.probe_range(&key).await;
            link.slot_ranges.remove(id);
            link.emit_recovery();
        });
    }

    async fn probe_range(self: &Arc<Self>, key: &str) {
        let mut delay = MIN_PROBE_DELAY;
        loop {
            let answered = timeout(self.timeout, async {
                let (mut connection, _) = self.connection().await.ok()?;
                probe(&mut connection, key).await.ok()
            })
            .await;
            if let Ok(Some(())) = answered {
                return;
            }
            sleep(delay).await;
            delay = (delay * 2).min(MAX_PROBE_DELAY);
        }
    }

    /// The slots of the master that has this one.
    async fn slots_of_master(&self, slot: u16) -> Option<(u16, u16)> {
        let (mut connection, _) = self.connection().await.ok()?;
        let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await
            .ok()?;
        ranges.iter().find_map(|range| match range.as_slice() {
            [Value::Int(first), Value::Int(last), ..] => {
                let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
                (first..=last).contains(&slot).then_some((first, last))
            }
            _ => None,
        })
    }
}

enum CallError {
    Down(Failure),
    Redis(RedisError),
}

impl From<Failure> for CallError {
    fn from(reason: Failure) -> Self {
        Self::Down(reason)
    }
}

/// `EVALSHA`; where the script is not known (a flush, a failover, a new node) its text once, which
/// the server keeps. A script that was not known has not run, so asking again takes nothing twice.
async fn eval(
    connection: &mut Connection,
    keys: &[String],
    call: &Call,
) -> Result<Value, RedisError> {
    let command = |name: &str, script: &str| {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(keys.len())
            .arg(keys)
            .arg(&call.arguments);
        command
    };
    let first = command("EVALSHA", &call.script.hash)
        .query_async(connection)
        .await;
    match first {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            command("EVAL", call.script.code)
                .query_async(connection)
                .await
        }
        result => result,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
