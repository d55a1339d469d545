//! The connection of a handler, and what is known of the server's health.
//!
//! One thread of the handler's own drives the connection, so that calls work from any thread, with
//! a runtime or without, and never hang on the driver: whatever it does, the caller waits for an
//! answer only as long as its timeout.
//!
//! While the server is known to be down, calls fail at once; probes in the background find out
//! when it is back. In a cluster that is known for each range of slots by itself: a master that
//! has died stops no one else's keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::keys;
use super::script::Call;
use super::target::{Connection, Target};

/// The longest pause between two probes of a server that is down.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The shared side of a connection.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) timeout: Duration,
    state: watch::Sender<State>,
    /// Generations of connections that were found to be broken.
    broken: OnceLock<mpsc::UnboundedSender<u64>>,
    /// Ranges of a cluster's slots that do not answer, with the reason.
    ranges_down: Mutex<Vec<(u16, u16, Arc<str>)>>,
    /// The slots of each master, as last seen.
    masters: Mutex<Vec<(u16, u16)>>,
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
        // A driver is started once for each link.
        let _ = link.broken.set(broken);
        let weak = Arc::downgrade(link);
        thread::Builder::new()
            .name("premier-redis".into())
            .spawn(move || {
                if let Some(link) = weak.upgrade() {
                    runtime.spawn(keep_connected(link, reports));
                }
                // An error says that the handler is gone, which is the sign to stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
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
            broken: OnceLock::new(),
            ranges_down: Mutex::default(),
            masters: Mutex::default(),
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
            match (slot, used) {
                (Some(slot), Some(_)) => self.range_lost(slot, &failure),
                (None, Some(generation)) => self.lost(generation),
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
        if let (true, Some(broken)) = (was_up, self.broken.get()) {
            // Without a driver there is nobody left to connect for.
            let _ = broken.send(generation);
        }
    }

    fn went_down(&self, reason: &Failure) {
        self.outages.fetch_add(1, Ordering::Relaxed);
        let _ = reason;
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "premier", redis = ?self.target, %reason, "redis is down");
    }

    fn came_back(&self) {
        #[cfg(feature = "tracing")]
        tracing::info!(target: "premier", redis = ?self.target, "redis is back");
    }

    fn reason_of(&self, slot: u16) -> Option<Failure> {
        lock(&self.ranges_down)
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot))
            .map(|(_, _, reason)| Arc::clone(reason))
    }

    /// Marks the slots of a master as down and probes one of them until it answers.
    fn range_lost(self: &Arc<Self>, slot: u16, reason: &Failure) {
        let (first, last) = lock(&self.masters)
            .iter()
            .copied()
            .find(|(first, last)| (*first..=*last).contains(&slot))
            .unwrap_or((slot, slot));
        {
            let mut down = lock(&self.ranges_down);
            if down.iter().any(|(known, ..)| *known == first) {
                return;
            }
            down.push((first, last, Arc::clone(reason)));
        }
        self.went_down(reason);
        let link = Arc::clone(self);
        tokio::spawn(async move {
            link.probe_range(slot).await;
            lock(&link.ranges_down).retain(|(known, ..)| *known != first);
            link.came_back();
        });
    }

    async fn probe_range(self: &Arc<Self>, slot: u16) {
        let key = key_in(slot);
        let mut exists = redis::cmd("EXISTS");
        exists.arg(&key);
        let mut pause = FIRST_PAUSE;
        loop {
            let answered = timeout(self.timeout, async {
                let (mut connection, _) = self.connection().await.ok()?;
                exists.exec_async(&mut connection).await.ok()?;
                self.learn_masters(&mut connection).await;
                Some(())
            })
            .await;
            if let Ok(Some(())) = answered {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Which slots have one master, and so one fate.
    async fn learn_masters(&self, connection: &mut Connection) {
        let Ok(Value::Array(ranges)) = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async::<Value>(connection)
            .await
        else {
            return;
        };
        let masters = ranges
            .into_iter()
            .filter_map(|range| match range {
                Value::Array(parts) => match parts.as_slice() {
                    [Value::Int(first), Value::Int(last), ..] => {
                        Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?))
                    }
                    _ => None,
                },
                _ => None,
            })
            .collect();
        *lock(&self.masters) = masters;
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
        let was_down = matches!(*strong.state.borrow(), State::Down(_));
        match connect(&strong).await {
            Ok(mut connection) => {
                if strong.target.is_cluster() {
                    let _ = timeout(strong.timeout, strong.learn_masters(&mut connection)).await;
                }
                generation += 1;
                pause = FIRST_PAUSE;
                strong.state.send_replace(State::Up(connection, generation));
                if was_down {
                    strong.came_back();
                }
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
                if !was_down {
                    strong.went_down(&reason);
                }
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
async fn connect(link: &Arc<Link>) -> Result<Connection, Failure> {
    let mut attempt = std::pin::pin!(timeout(4 * link.timeout, link.target.connect(link.timeout)));
    let result = match timeout(link.timeout, &mut attempt).await {
        Ok(result) => result,
        Err(_) => {
            let reason: Failure = format!("no connection within {:?}", link.timeout).into();
            let newly = link.state.send_if_modified(|state| {
                let newly = !matches!(state, State::Down(_));
                *state = State::Down(Arc::clone(&reason));
                newly
            });
            if newly {
                link.went_down(&reason);
            }
            attempt.await
        }
    };
    match result {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err(format!("no connection within {:?}", 4 * link.timeout).into()),
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
}

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

/// Some key of a slot.
fn key_in(slot: u16) -> String {
    // Every slot has one among the first few hundred thousand numbers.
    (0_u32..)
        .map(|number| format!("premier-probe-{number}"))
        .find(|key| keys::slot(key) == slot)
        .unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
