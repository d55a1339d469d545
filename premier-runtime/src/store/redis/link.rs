//! The connection of a handler and the health of its server.
//!
//! While the server is known to be down, calls fail at once and background probes detect when it is
//! back. In a cluster, health is tracked per range of slots, so the failure of one master does not
//! affect the keys of the others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::failure::{Failure, describe, is_connection_error};
use super::keys;
use super::probe::{PING_KEY, ping, probe};
use super::script::Call;
use super::slot_ranges::SlotRangeOutages;
use super::target::{Connection, Target};
use crate::telemetry;

/// The longest delay between two probes of a server that is down.
pub(super) const MAX_PROBE_DELAY: Duration = Duration::from_millis(250);
/// The delay after the first failed probe, which doubles with each further one.
pub(super) const MIN_PROBE_DELAY: Duration = Duration::from_millis(10);

/// A connection that the handler and its driver thread share.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    pub(super) state: watch::Sender<State>,
    /// Reports the generation of a broken connection to the driver.
    pub(super) broken: Mutex<Option<mpsc::UnboundedSender<u64>>>,
    /// The key of the last call that found its connection broken. Probes write to this key.
    pub(super) last_failed_key: Mutex<Option<String>>,
    /// Whether an outage was recorded and its end was not.
    is_outage_open: AtomicBool,
    slot_ranges: SlotRangeOutages,
    pub(super) outages: AtomicU64,
}

/// The state of a connection.
#[derive(Clone)]
pub(super) enum State {
    /// The driver is connecting; calls wait for the connection.
    Connecting,
    /// The connection and its generation, which every reconnect increments.
    Up(Connection, u64),
    /// The server is down for this reason; calls fail without waiting.
    Down(Failure),
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

    /// Returns whether the server, or every master of a cluster, answered last.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(..)) && self.slot_ranges.is_empty()
    }

    /// Runs a script within the timeout.
    pub(super) async fn run(self: &Arc<Self>, call: &Call) -> Result<Value, Failure> {
        let key = call.keys.first().map(String::as_str);
        self.bounded(key, async |connection| eval(connection, call).await)
            .await
    }

    /// Runs a command, on `key` if it has one, within the timeout.
    #[cfg(feature = "cache")]
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

    /// Checks within the timeout that the server can decide.
    pub(super) async fn ping(self: &Arc<Self>) -> Result<(), Failure> {
        self.bounded(Some(PING_KEY), async |connection| {
            ping(connection).await?;
            self.target.warn_of_eviction(connection, self.timeout);
            Ok(Value::Okay)
        })
        .await
        .map(drop)
    }

    /// Waits while the driver is connecting, and returns the connection with its generation.
    ///
    /// # Errors
    /// When the server is down.
    pub(super) async fn connection(&self) -> Result<(Connection, u64), Failure> {
        let mut state = self.state.subscribe();
        let known = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            .map_err(|_| Failure::from("the connection was closed"))?;
        match &*known {
            State::Up(connection, generation) => Ok((connection.clone(), *generation)),
            State::Down(reason) => Err(reason.clone()),
            State::Connecting => Err("the connection is not ready".into()),
        }
    }

    /// Runs `work` within the timeout. If it fails because of the connection, reports the connection,
    /// or in a cluster the slot of `key`, as down.
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
            Ok(Err(CallError::Redis(error))) => {
                let lost = is_connection_error(&error);
                (describe(error), lost)
            }
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

    /// Reports the connection of this generation as broken. Further reports of one generation have no
    /// effect.
    pub(super) fn report_broken(&self, generation: u64) {
        let was_up = self.state.send_if_modified(|state| match state {
            State::Up(_, current) if *current == generation => {
                *state = State::Connecting;
                true
            }
            _ => false,
        });
        if let (true, Some(broken)) = (was_up, &*lock(&self.broken)) {
            // Fails only when the driver has stopped, and then no connection is needed.
            let _ = broken.send(generation);
        }
    }

    /// Records an outage, unless the current outage is recorded already.
    pub(super) fn record_outage(&self, reason: &Failure) {
        if !self.is_outage_open.swap(true, Ordering::Relaxed) {
            self.emit_outage(reason);
        }
    }

    /// Records that the server answers, and the end of an outage if there was one.
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

    /// Marks a slot of a cluster as down, then all slots of its master, and starts a task that probes
    /// the master until it answers.
    fn report_range_down(self: &Arc<Self>, slot: u16, key: &str, reason: &Failure) {
        let Some(id) = self.slot_ranges.add(slot, reason) else {
            return;
        };
        let (link, key, reason) = (Arc::clone(self), key.to_owned(), reason.clone());
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

    /// Probes the master of `key` until it accepts writes.
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

    /// Returns the first and the last slot of the range that contains `slot`.
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
    /// The call was not sent, because the server is known to be down.
    Down(Failure),
    Redis(RedisError),
}

impl From<Failure> for CallError {
    fn from(reason: Failure) -> Self {
        Self::Down(reason)
    }
}

/// Runs a script by its hash, and by its text if the server does not know the hash: after a flush, a
/// failover, or on a new node. The server then caches the text.
///
/// Repeating the call is safe, because the server has not run a script that it does not know.
async fn eval(connection: &mut Connection, call: &Call) -> Result<Value, RedisError> {
    let command = |name: &str, script: &str| {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(call.keys.len())
            .arg(&call.keys)
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
