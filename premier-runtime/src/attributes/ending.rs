//! How a call has ended, recorded by the layer that ended it for the layers above.
//!
//! A layer above gets the error of a refusal after its conversion to the user's type, or a substitute in its place.
//! Neither shows that the call was refused, so the layer that refuses a call records it here.

use std::sync::atomic::{AtomicU8, Ordering};

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
            error if error.is_refusal() => EndedBy::Refusal,
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

    /// Copies the ending of the part of the call that ran on a worker thread.
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
