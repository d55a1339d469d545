//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: its attribute macros.
//!
//! Every attribute goes the same way: the item is read into one function model together with all
//! of premier's attributes on it (`function`, `stack`), each attribute's arguments are parsed
//! and validated in its own module, and the whole stack is expanded once (`expand`).

mod arguments;
mod crate_path;
mod expand;
mod function;
mod key;
mod output;
mod quantity;
mod stack;
mod throttle;

use proc_macro::TokenStream;

use crate::stack::Attribute;

/// Admits calls of a function by a limit.
///
/// See the documentation of the `premier` crate, which is its manual.
#[proc_macro_attribute]
pub fn throttle(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Attribute::Throttle, arguments.into(), item.into()).into()
}
