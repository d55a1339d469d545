//! The attributes: one file for each.
//!
//! A new attribute needs its file, a line in [`ALL`] and an entry point in `lib.rs`.

mod cache;
mod circuit_breaker;
mod concurrency;
mod retry;
mod throttle;
mod timeout;

use proc_macro2::TokenStream;
use syn::Result;

use crate::expand::attribute::AttributeMacro;
use crate::expand::expansion::Layer;
use crate::parse::function::Function;

/// All attributes.
pub(crate) static ALL: &[AttributeMacro] = &[
    attribute("cache", cache::parse),
    attribute("circuit_breaker", circuit_breaker::parse),
    attribute("concurrency", concurrency::parse),
    attribute("retry", retry::parse),
    attribute("throttle", throttle::parse),
    attribute("timeout", timeout::parse),
];

const fn attribute(
    name: &'static str,
    parse: fn(TokenStream, &Function, usize) -> Result<Box<dyn Layer>>,
) -> AttributeMacro {
    AttributeMacro { name, parse }
}
