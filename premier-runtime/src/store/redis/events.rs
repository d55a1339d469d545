//! Events and metrics about a server.
//!
//! Subscribers and recorders may be slow or wait for an answer of this very server, so they do not run on the thread
//! that drives the connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::failure::Failure;
use crate::sync::lock_std;
use crate::telemetry;

/// The thread that calls subscribers and recorders; the first event starts it.
#[derive(Default)]
pub(super) struct Events {
    thread: Mutex<Option<Sender<Event>>>,
}

/// An event of the server with this name.
pub(super) enum Event {
    Down(Failure),
    Up,
    /// The server answers, and no earlier event said otherwise.
    Answers,
}

impl Events {
    /// Emits an event, after all earlier events.
    pub(super) fn emit(&self, server: &Arc<str>, event: Event) {
        let mut thread = lock_std(&self.thread);
        let sender = match &*thread {
            Some(sender) => sender,
            None => {
                let (sender, events) = mpsc::channel();
                let server = Arc::clone(server);
                let spawned = thread::Builder::new()
                    .name("premier-redis-events".into())
                    .spawn(move || {
                        for event in events {
                            // A subscriber that panics still receives the next event.
                            let _ = catch_unwind(AssertUnwindSafe(|| emit(&server, event)));
                        }
                    });
                if spawned.is_err() {
                    return;
                }
                thread.insert(sender)
            }
        };
        // Cannot fail, because the thread ends with the sender.
        let _ = sender.send(event);
    }
}

fn emit(server: &Arc<str>, event: Event) {
    match event {
        Event::Down(reason) => {
            let _ = &reason;
            telemetry::record_backend_up("redis", server, false);
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "premier", redis = %server, %reason, "redis is down");
        }
        Event::Up => {
            telemetry::record_backend_up("redis", server, true);
            #[cfg(feature = "tracing")]
            tracing::info!(target: "premier", redis = %server, "redis is back");
        }
        Event::Answers => telemetry::record_backend_up("redis", server, true),
    }
}
