//! Calls that wait for a limit, and the units of admitted calls. Each test has a handler and a clock of its own.

mod max_waiting;
mod panicking_handlers;
mod permits;
mod reservations;
mod reserved_slots;
mod slots_under_change;
mod waiting;
