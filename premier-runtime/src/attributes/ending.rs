//! How the layers of one call that refuse tell the layers above them.
//!
//! The error of a refusal becomes the user's error, or a substitute, before a layer above sees it, and
//! neither says what it was. So a layer that refuses notes it here.

use std::sync::atomic::{AtomicU8, Ordering};

use super::cause::is_refusal;
use crate::error::Error;

/// What ended a call, or the last attempt of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum EndedBy {
    Function,
    /// A circuit breaker below.
    OpenCircuit,
    /// Another layer below.
    Refusal,
    /// The value of an `on_reject` below.
    Substitute,
    /// A layer below, whose arguments are invalid.
    BadArgument,
}

/// What ended one call. Shared by its layers.
// Atomic only so that futures which hold a reference across an await are `Send`.
#[derive(Debug)]
pub struct Ending(AtomicU8);

impl Ending {
    /// The ending of a call whose function runs, until a layer says otherwise.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "only expansions make one")]
    pub const fn new() -> Self {
        Self(AtomicU8::new(EndedBy::Function as u8))
    }

    fn set(&self, by: EndedBy) {
        self.0.store(by as u8, Ordering::Relaxed);
    }

    fn is(&self, by: EndedBy) -> bool {
        self.0.load(Ordering::Relaxed) == by as u8
    }

    /// A layer returns this error to its caller.
    pub fn rejected(&self, error: &Error) {
        self.set(match error {
            Error::CircuitOpen { .. } => EndedBy::OpenCircuit,
            Error::Config { .. } => EndedBy::BadArgument,
            error if is_refusal(Some(error)) => EndedBy::Refusal,
            _ => EndedBy::Function,
        });
    }

    /// A layer returns the value of its `on_reject`.
    pub fn substituted(&self) {
        self.set(EndedBy::Substitute);
    }

    /// Begins another attempt.
    pub fn restart(&self) {
        self.set(EndedBy::Function);
    }

    /// Takes over what ended the part of the call that ran on a worker thread.
    pub fn adopt(&self, worker: &Self) {
        self.0
            .store(worker.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the output is a substitute.
    pub fn is_substitute(&self) -> bool {
        self.is(EndedBy::Substitute)
    }

    /// Whether a layer below has an invalid argument.
    pub fn is_bad_argument(&self) -> bool {
        self.is(EndedBy::BadArgument)
    }

    /// Whether a circuit breaker below was open.
    pub fn is_open_circuit(&self) -> bool {
        self.is(EndedBy::OpenCircuit)
    }

    /// Whether a layer below did not let the function run.
    pub fn is_refusal(&self) -> bool {
        self.is(EndedBy::Refusal) || self.is(EndedBy::OpenCircuit)
    }
}
