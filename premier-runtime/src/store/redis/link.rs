//! The connection of a handler, and what is known of the server's health.
//!
//! One thread of the handler's own drives the connection, so that calls work from any thread, with
//! a runtime or without, and never hang on the driver: whatever it does, the caller waits for an
//! answer only as long as its timeout.
//!
//! While the server is known to be down, calls fail at once; probes in the background find out
//! when it is back. In a cluster that is known for each range of slots by itself: a master that
//! has died stops no one else's keys.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::keys;
use super::probe::{RangeDown, probe};
use super::script::Call;
use super::target::{Connection, Target};
use crate::telemetry;

/// The longest pause between two probes of a server that is down.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(250);
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The shared side of a connection.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    state: watch::Sender<State>,
    /// Generations of connections that were found to be broken.
    broken: Mutex<Option<mpsc::UnboundedSender<u64>>>,
    /// The key of the call that last found a connection broken: what probes ask about.
    troubled: Mutex<Option<String>>,
    /// Whether an outage has been told of that has not ended.
    told: AtomicBool,
    /// Ranges of a cluster's slots that do not answer.
    pub(super) ranges_down: Mutex<Vec<RangeDown>>,
    pub(super) last_range: AtomicU64,
    pub(super) outages: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// A first or a new connection is being made; calls wait for it.
    Connecting,
    Up(Connection, u64),
    /// Known to be down, and why; calls do not wait.
    Down(Arc<str>),
}

/// Why a call has no answer.
pub(super) type Failure = Arc<str>;

thread_local! {
    static ON_DRIVER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread drives a connection, so that it must not wait for one.
pub(super) fn on_driver() -> bool {
    ON_DRIVER.get()
}

/// The thread that drives the connection; it ends with the last handler.
pub(super) struct Driver {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn start(link: &Arc<Link>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (broken, reports) = mpsc::unbounded_channel();
        let weak = Arc::downgrade(link);
        thread::Builder::new()
            .name("premier-redis".into())
            .spawn(move || {
                ON_DRIVER.set(true);
                if let Some(link) = weak.upgrade() {
                    runtime.spawn(keep_connected(link, reports));
                }
                // An error says that the handler is gone, which is the sign to stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        *lock(&link.broken) = Some(broken);
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            state: watch::Sender::new(State::Connecting),
            broken: Mutex::default(),
            troubled: Mutex::default(),
            told: AtomicBool::new(false),
            ranges_down: Mutex::default(),
            last_range: AtomicU64::new(0),
            outages: AtomicU64::new(0),
        }
    }

    /// Whether the server answered last.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(..)) && lock(&self.ranges_down).is_empty()
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
        if let Some(reason) = slot.and_then(|slot| self.reason_of(slot)) {
            return Err(reason);
        }
        let mut used = None;
        let result = timeout(self.timeout, async {
            let (mut connection, generation) = self.connection().await?;
            used = Some(generation);
            work(&mut connection).await.map_err(Trouble::Redis)
        })
        .await;
        let (failure, lost): (Failure, bool) = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Trouble::Down(reason))) => return Err(reason),
            Ok(Err(Trouble::Redis(error))) => (describe(&error), means_lost(&error)),
            Err(_) => (format!("no answer within {:?}", self.timeout).into(), true),
        };
        if lost {
            match (slot, used, key) {
                (Some(slot), Some(_), Some(key)) => self.range_lost(slot, key, &failure),
                (None, Some(generation), _) => {
                    if let Some(key) = key {
                        *lock(&self.troubled) = Some(key.to_owned());
                    }
                    self.lost(generation);
                }
                _ => {}
            }
        }
        Err(failure)
    }

    /// Reports a connection as broken; one report for each generation has an effect.
    fn lost(&self, generation: u64) {
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

    /// Tells of an outage, once until it is over.
    fn went_down(&self, reason: &Failure) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.tell_down(reason);
        }
    }

    fn came_back(&self) {
        *lock(&self.troubled) = None;
        telemetry::backend_is(true);
        if self.told.swap(false, Ordering::Relaxed) {
            self.tell_back();
        }
    }

    pub(super) fn tell_down(&self, reason: &Failure) {
        self.outages.fetch_add(1, Ordering::Relaxed);
        let _ = reason;
        telemetry::backend_is(false);
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "premier", redis = ?self.target, %reason, "redis is down");
    }

    pub(super) fn tell_back(&self) {
        #[cfg(feature = "tracing")]
        tracing::info!(target: "premier", redis = ?self.target, "redis is back");
    }
}

enum Trouble {
    Down(Failure),
    Redis(RedisError),
}

impl From<Failure> for Trouble {
    fn from(reason: Failure) -> Self {
        Self::Down(reason)
    }
}

/// Connects, and connects again whenever the connection is reported as broken.
async fn keep_connected(link: Arc<Link>, mut reports: mpsc::UnboundedReceiver<u64>) {
    let link = {
        let weak = Arc::downgrade(&link);
        drop(link);
        weak
    };
    let mut generation = 0;
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(strong) = link.upgrade() else { return };
        match connect(&strong, generation + 1).await {
            Ok(connection) => {
                generation += 1;
                pause = FIRST_PAUSE;
                strong.state.send_replace(State::Up(connection, generation));
                strong.came_back();
                drop(strong);
                loop {
                    match reports.recv().await {
                        Some(broken) if broken < generation => {}
                        Some(_) => break,
                        None => return,
                    }
                }
            }
            Err(reason) => {
                strong.went_down(&reason);
                strong.state.send_replace(State::Down(reason));
                drop(strong);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Several servers may have to be asked, which takes longer than one call may; but after one
/// timeout the callers know.
async fn connect(link: &Arc<Link>, generation: u64) -> Result<Connection, Failure> {
    let longest = link.timeout.saturating_mul(4);
    let closed = {
        let link = Arc::downgrade(link);
        move || {
            if let Some(link) = link.upgrade() {
                link.lost(generation);
            }
        }
    };
    let attempt = async {
        let mut connection = link.target.connect(link.timeout, closed).await?;
        let troubled = lock(&link.troubled).clone();
        if let Some(key) = troubled {
            probe(&mut connection, &key).await?;
        }
        Ok(connection)
    };
    let mut attempt = std::pin::pin!(timeout(longest, attempt));
    let result = match timeout(link.timeout, &mut attempt).await {
        Ok(result) => result,
        Err(_) => {
            let reason: Failure = format!("no connection within {:?}", link.timeout).into();
            link.state.send_replace(State::Down(Arc::clone(&reason)));
            link.went_down(&reason);
            attempt.await
        }
    };
    match result {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err(format!("no connection within {longest:?}").into()),
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

/// Whether an error tells that this connection or server cannot be used for now.
fn means_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            ) | ErrorKind::ClusterConnectionNotFound
        )
        || REFUSALS.iter().any(|refusal| {
            // Before Redis 7 what a script was told is in the middle of the text.
            error.code() == Some(refusal)
                || error
                    .detail()
                    .is_some_and(|detail| detail.contains(&format!("-{refusal} ")))
        })
}

/// What a server that answers says to every write, whichever key it is for.
const REFUSALS: [&str; 6] = [
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "UNKILLABLE",
];

/// What the driver or the server says, in one short line.
fn describe(error: &RedisError) -> Failure {
    let text: String = error
        .to_string()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(256)
        .collect();
    text.into()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
