//! Failures of a cache. A cache that fails never fails the call, so it logs instead.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Logs a failure, if the feature `tracing` is enabled.
pub(super) fn log_failure(what: &str, cache: &str, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", cache, %error, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, cache, error);
}

/// The state of the shared store of one cache. Its changes are logged, not every call.
///
/// A subscriber may call the cached function for the key of this lookup, and would wait for itself. Messages are
/// therefore kept until a caller has no place in a queue.
#[derive(Debug, Default)]
pub(super) struct StoreState {
    is_failing: AtomicBool,
    was_unreadable: AtomicBool,
    has_messages: AtomicBool,
    messages: Mutex<Vec<Message>>,
}

#[derive(Debug)]
enum Message {
    Failure(&'static str, String),
    AnswersAgain,
}

impl StoreState {
    /// The store has answered.
    pub(super) fn answered(&self) {
        if self.is_failing.load(Ordering::Relaxed) && self.is_failing.swap(false, Ordering::Relaxed)
        {
            self.push(Message::AnswersAgain);
        }
    }

    /// The store has not answered.
    pub(super) fn failed(&self, error: &dyn Display) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            self.push_failure("the shared cache does not answer", error);
        }
    }

    /// A value could not be read. Another version of the program may write many of them, so it is
    /// logged once.
    pub(super) fn unreadable(&self, error: &dyn Display) {
        if !self.was_unreadable.swap(true, Ordering::Relaxed) {
            self.push_failure("a shared value could not be read", error);
        }
    }

    /// A value cannot be shared, so the cache no longer shares any.
    pub(super) fn unshared(&self, error: &dyn Display) {
        let what = "a value cannot be shared, and its cache no longer is";
        self.push_failure(what, error);
    }

    fn push_failure(&self, what: &'static str, error: &dyn Display) {
        self.push(Message::Failure(what, error.to_string()));
    }

    fn push(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        self.has_messages.store(true, Ordering::Release);
    }

    /// Logs the changes. Call this without a place in a queue.
    pub(super) fn log(&self, cache: &str) {
        if !self.has_messages.load(Ordering::Acquire) {
            return;
        }
        let messages = {
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            self.has_messages.store(false, Ordering::Release);
            std::mem::take(&mut *messages)
        };
        for message in messages {
            match message {
                Message::Failure(what, error) => log_failure(what, cache, &error),
                #[cfg(feature = "tracing")]
                Message::AnswersAgain => {
                    tracing::info!(target: "premier", cache, "the shared cache answers again");
                }
                #[cfg(not(feature = "tracing"))]
                Message::AnswersAgain => {}
            }
        }
    }
}
