//! `#[cache]` in memory with the clock of the system: which values a cache holds, drops and returns.

mod cache_drop_safety;
mod cache_eviction;
mod cache_hits;
mod cache_identity;
mod cache_waiting;
