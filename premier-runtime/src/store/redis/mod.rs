//! The Redis handler, through which processes share limits and cached values.
//!
//! A call that [`calls`] cannot decide by [`leases`] or [`denials`] goes as a [`check`] to the [`outbox`]. The
//! thread in [`driver`] sends it over the connection in [`link`]: with other calls by a script of [`lean`], or
//! alone by a script of [`script`]. Its caller waits for the [`answer`].

mod address;
mod answer;
mod builder;
mod calls;
mod check;
mod clear;
mod connection;
mod denials;
mod driver;
mod events;
#[cfg(feature = "tracing")]
mod eviction;
mod failure;
mod fetching;
mod few;
mod handler;
mod handshake;
mod keys;
mod kind;
mod lean;
mod leases;
mod link;
mod micros;
mod outbox;
mod probe;
mod script;
mod sentinel;
mod session;
mod slot_ranges;
mod target;
#[cfg(feature = "cache")]
mod values;

pub use self::builder::RedisBuilder;
pub use self::handler::{RedisHandler, RedisStatus};
