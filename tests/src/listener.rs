//! Log events in tests.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A subscriber that calls a function with the text of each event that passes a filter: its fields as
/// `name=value`.
#[derive(Debug)]
pub struct Listener<H> {
    passes: fn(&Metadata<'_>) -> bool,
    hears: H,
}

impl<H: Fn(&Metadata<'static>, String) + Send + Sync + 'static> Listener<H> {
    /// Listens to the events whose metadata pass `passes`.
    pub const fn new(passes: fn(&Metadata<'_>) -> bool, hears: H) -> Self {
        Self { passes, hears }
    }

    /// Listens to all events of premier.
    pub const fn to_premier(hears: H) -> Self {
        Self::new(is_of_premier, hears)
    }
}

/// Whether an event is one of premier's.
#[must_use]
pub fn is_of_premier(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "premier"
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl<H: Fn(&Metadata<'static>, String) + Send + Sync + 'static> Subscriber for Listener<H> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (self.passes)(metadata)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        (self.hears)(event.metadata(), text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
