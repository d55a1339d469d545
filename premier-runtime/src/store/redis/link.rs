//! The connection of a handler and the health of its server.
//!
//! While the server is known to be down, calls fail at once and background probes detect when it is
//! back. In a cluster, health is tracked per range of slots, so the failure of one master does not
//! affect the keys of the others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::{RedisError, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::events::{Event, Events};
use super::failure::{Failure, describe, is_connection_error};
use super::keys;
use super::probe::{PING_KEY, ping, probe};
use super::session::Session;
use super::slot_ranges::SlotRangeOutages;
use super::target::Target;
use crate::sync::lock_std;

/// The longest delay between two probes of a server that is down.
pub(super) const MAX_PROBE_DELAY: Duration = Duration::from_millis(250);
/// The delay after the first failed probe. It doubles with each further probe.
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
    /// The target as text, for events.
    name: Arc<str>,
    events: Events,
}

/// The state of a connection.
#[derive(Clone)]
pub(super) enum State {
    /// The driver is connecting; calls wait for the connection.
    Connecting,
    Up(Session),
    /// The server is down for this reason; calls fail without waiting.
    Down(Failure),
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self {
            name: format!("{target:?}").into(),
            events: Events::default(),
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

    /// Returns whether the server, or every master of a cluster, answered the last call or probe.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(..)) && self.slot_ranges.is_empty()
    }

    /// Runs a command, on `key` if it has one.
    #[cfg(feature = "cache")]
    pub(super) async fn command(
        self: &Arc<Self>,
        key: Option<&str>,
        command: &redis::Cmd,
    ) -> Result<Value, Failure> {
        self.run(key, async |session| {
            command.query_async(&mut session.connection).await
        })
        .await
    }

    /// Checks that the server can decide.
    pub(super) async fn ping(self: &Arc<Self>) -> Result<(), Failure> {
        self.run(Some(PING_KEY), async |session| {
            ping(&mut session.connection).await?;
            self.target
                .warn_of_eviction(&session.connection, self.timeout);
            Ok(Value::Okay)
        })
        .await
        .map(drop)
    }

    /// Waits while the driver is connecting, and returns the connection.
    ///
    /// # Errors
    /// When the server is down.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        if let State::Up(session) = &*self.state.borrow() {
            return Ok(session.clone());
        }
        let mut state = self.state.subscribe();
        let known = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            .map_err(|_| Failure::from("the connection was closed"))?;
        match &*known {
            State::Up(session) => Ok(session.clone()),
            State::Down(reason) => Err(reason.clone()),
            State::Connecting => Err("the connection is not ready".into()),
        }
    }

    /// Runs `work`, whose timeout begins once there is a connection: the time spent waiting for one says nothing
    /// about the server. If the work fails because of the connection, reports the connection, or in a cluster the
    /// slot of `key`, as down.
    pub(super) async fn run(
        self: &Arc<Self>,
        key: Option<&str>,
        work: impl AsyncFnOnce(&mut Session) -> Result<Value, RedisError>,
    ) -> Result<Value, Failure> {
        let slot = key.filter(|_| self.target.is_cluster()).map(keys::slot);
        if let Some(reason) = slot.and_then(|slot| self.slot_ranges.reason(slot)) {
            return Err(reason);
        }
        let mut session = self.session().await?;
        let (failure, is_lost) = match timeout(self.timeout, work(&mut session)).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                let is_lost = is_connection_error(&error);
                (describe(error), is_lost)
            }
            Err(_) => (no_answer_within(self.timeout), true),
        };
        if is_lost {
            match (slot, key) {
                (Some(slot), Some(key)) => self.report_range_down(slot, key, &failure),
                _ => {
                    if let Some(key) = key {
                        *lock_std(&self.last_failed_key) = Some(key.to_owned());
                    }
                    self.report_broken(session.generation);
                }
            }
        }
        Err(failure)
    }

    /// Reports the connection of this generation as broken. Further reports of one generation have no
    /// effect.
    pub(super) fn report_broken(&self, generation: u64) {
        let was_up = self.state.send_if_modified(|state| match state {
            State::Up(session) if session.generation == generation => {
                *state = State::Connecting;
                true
            }
            _ => false,
        });
        if let (true, Some(broken)) = (was_up, &*lock_std(&self.broken)) {
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
        *lock_std(&self.last_failed_key) = None;
        let event = match self.is_outage_open.swap(false, Ordering::Relaxed) {
            true => Event::Up,
            false => Event::Answers,
        };
        self.events.emit(&self.name, event);
    }

    fn emit_outage(&self, reason: &Failure) {
        self.outages.fetch_add(1, Ordering::Relaxed);
        self.events.emit(&self.name, Event::Down(reason.clone()));
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
            link.events.emit(&link.name, Event::Up);
        });
    }

    /// Probes the master of `key` until it accepts writes.
    async fn probe_range(self: &Arc<Self>, key: &str) {
        let mut delay = MIN_PROBE_DELAY;
        loop {
            let answered = timeout(self.timeout, async {
                let mut session = self.session().await.ok()?;
                probe(&mut session.connection, key).await.ok()
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
        let mut connection: Connection = self.session().await.ok()?.connection;
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

pub(super) fn no_answer_within(timeout: Duration) -> Failure {
    format!("no answer within {timeout:?}").into()
}
