//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: its attribute macros.
//!
//! The stages are `parse`, `validate` and `expand`. Each uses only the stages before it.
//! `attributes` contains one file for each attribute, which uses all three, and the list of all
//! attributes.

mod attributes;
mod expand;
mod parse;
mod validate;

use proc_macro::TokenStream;

use crate::expand::attribute::expand_attribute;

/// Caches what a function returns, for calls with the same key.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn cache(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("cache", arguments, item)
}

/// Rejects calls of a function for a while when it keeps failing.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn circuit_breaker(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("circuit_breaker", arguments, item)
}

/// Limits how many calls of a function run at the same time.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn concurrency(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("concurrency", arguments, item)
}

/// Says what a function returns when it has failed.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn fallback(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("fallback", arguments, item)
}

/// Calls a function again when it fails.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn retry(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("retry", arguments, item)
}

/// Limits the rate of calls of a function.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn throttle(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("throttle", arguments, item)
}

/// Stops waiting for a function after a time.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn timeout(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("timeout", arguments, item)
}

fn expand(name: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = attributes::ALL
        .iter()
        .find(|attribute| attribute.name == name)
        .expect("every entry point is in the list of attributes");
    expand_attribute(attribute, attributes::ALL, arguments.into(), item.into()).into()
}
