//! The thread that drives a connection.
//!
//! Each handler runs its connection on a separate thread with a tokio runtime. Calls therefore work
//! from any thread, with or without a runtime, and from any executor.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::failure::{Failure, backend, describe};
use super::link::{Link, MAX_PROBE_DELAY, MIN_PROBE_DELAY, State};
use super::outbox::Outbox;
use super::probe::probe;
use super::session::Session;
use crate::error::Error;
use crate::sync::lock_std;

thread_local! {
    static ON_DRIVER: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread drives a connection. Such a thread must not block on an answer, which
/// it would have to receive itself.
pub(super) fn is_driver_thread() -> bool {
    ON_DRIVER.get()
}

/// A handle to the driver thread, which stops when the handle is dropped with the last handler.
pub(super) struct Driver {
    handle: Handle,
    process: u32,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn start(link: &Arc<Link>, outbox: &Arc<Outbox>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (broken, reports) = mpsc::unbounded_channel();
        let (weak, outbox) = (Arc::downgrade(link), Arc::clone(outbox));
        thread::Builder::new()
            .name("premier-redis".into())
            .spawn(move || {
                ON_DRIVER.set(true);
                if let Some(link) = weak.upgrade() {
                    runtime.spawn(keep_connected(link, reports));
                }
                runtime.spawn(outbox.run());
                // Ends with an error when `Driver` is dropped, which is the signal to stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        *lock_std(&link.broken) = Some(broken);
        Ok(Self {
            handle,
            process: std::process::id(),
            _stop: stop,
        })
    }

    /// # Errors
    /// In a process that was forked from that of the driver, because it has no driver thread.
    pub(super) fn refuse_in_child(&self) -> Result<(), Error> {
        match self.process == std::process::id() {
            true => Ok(()),
            false => Err(backend(
                "the process was forked after the first call: make the handler in the child".into(),
            )),
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Connects, and reconnects when a connection is reported as broken. While the server is down,
/// retries with delays that double from [`MIN_PROBE_DELAY`] to [`MAX_PROBE_DELAY`].
///
/// Holds the link weakly between attempts, so that the task ends with the handler.
async fn keep_connected(link: Arc<Link>, mut reports: mpsc::UnboundedReceiver<u64>) {
    let link = {
        let weak = Arc::downgrade(&link);
        drop(link);
        weak
    };
    let mut generation = 0;
    let mut delay = MIN_PROBE_DELAY;
    loop {
        let Some(strong) = link.upgrade() else { return };
        match connect(&strong, generation + 1).await {
            Ok(connection) => {
                generation += 1;
                delay = MIN_PROBE_DELAY;
                let session = Session::new(connection, generation);
                strong.state.send_replace(State::Up(session));
                strong.record_recovery();
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
                strong.record_outage(&reason);
                strong.state.send_replace(State::Down(reason));
                drop(strong);
                sleep(delay).await;
                delay = (delay * 2).min(MAX_PROBE_DELAY);
            }
        }
    }
}

/// Makes one attempt to connect, of at most four timeouts, because several servers may have to be
/// contacted in turn. After one timeout, the link is marked as down, so that calls fail at once.
async fn connect(link: &Arc<Link>, generation: u64) -> Result<Connection, Failure> {
    let longest = link.timeout.saturating_mul(4);
    let closed = {
        let link = Arc::downgrade(link);
        move || {
            if let Some(link) = link.upgrade() {
                link.report_broken(generation);
            }
        }
    };
    let attempt = async {
        let mut connection = link.target.connect(link.timeout, closed).await?;
        let last_failed_key = lock_std(&link.last_failed_key).clone();
        if let Some(key) = last_failed_key {
            probe(&mut connection, &key).await?;
        }
        Ok(connection)
    };
    let mut attempt = std::pin::pin!(timeout(longest, attempt));
    let result = match timeout(link.timeout, &mut attempt).await {
        Ok(result) => result,
        Err(_) => {
            let reason: Failure = format!("no connection within {:?}", link.timeout).into();
            link.state.send_replace(State::Down(reason.clone()));
            link.record_outage(&reason);
            attempt.await
        }
    };
    match result {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(describe(error)),
        Err(_) => Err(format!("no connection within {longest:?}").into()),
    }
}
