//! The attributes: one file for each.
//!
//! A new attribute needs its file, a line in [`ALL`], an entry point in `lib.rs` and a page in `docs`.

mod cache;
mod circuit_breaker;
mod concurrency;
mod fallback;
mod retry;
mod throttle;
mod timeout;

use crate::expand::stack::{AttributeMacro, FALLBACK};

pub(crate) static ALL: &[AttributeMacro] = &[
    AttributeMacro::new("cache", cache::parse),
    AttributeMacro::rejecting("circuit_breaker", circuit_breaker::parse),
    AttributeMacro::rejecting("concurrency", concurrency::parse),
    AttributeMacro::new(FALLBACK, fallback::parse),
    AttributeMacro::new("retry", retry::parse),
    AttributeMacro::deciding_together("throttle", throttle::parse),
    AttributeMacro::rejecting("timeout", timeout::parse),
];
