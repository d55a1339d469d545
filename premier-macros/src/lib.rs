//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: its attribute macros.
//!
//! Every attribute goes the same way: the item is read into one function model together with all
//! of premier's attributes on it (`function`, `stack`), each attribute's arguments are parsed
//! and validated in its own module, and the whole stack is expanded once (`expand`).

mod arguments;
mod cache;
mod circuit_breaker;
mod concurrency;
mod crate_path;
mod error_filter;
mod expand;
mod function;
mod key;
mod output;
mod retry;
mod stack;
mod throttle;
mod timeout;

use proc_macro::TokenStream;

use crate::stack::Attribute;

/// Keeps what a function returned, for calls with the same key.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn cache(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Cache, arguments.into(), item.into()).into()
}

/// Stops calling a function that keeps failing, for a while.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn circuit_breaker(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::CircuitBreaker, arguments.into(), item.into()).into()
}

/// Lets at most so many calls of a function run at a time.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn concurrency(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Concurrency, arguments.into(), item.into()).into()
}

/// Calls a function again when it fails.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn retry(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Retry, arguments.into(), item.into()).into()
}

/// Admits calls of a function by a limit.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn throttle(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Throttle, arguments.into(), item.into()).into()
}

/// Ends the wait for a function at a deadline.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn timeout(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Timeout, arguments.into(), item.into()).into()
}
