//! What limits decide, and which state they keep, in memory, on Redis and in stores of users.

mod conformance;
mod limits_as_text;
mod memory;
mod peer_regressions;
mod properties;
mod published_tables;
mod several_limits;
mod stored_states;
