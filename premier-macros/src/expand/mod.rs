//! Tokens: how a function and the attributes on it become the function that is compiled.
//!
//! An attribute is a [`Layer`](expansion::Layer). The body is wrapped from the innermost layer to
//! the outermost: each layer gets the code of everything that it encloses and returns code of the
//! same form. Such code is the inside of a block that yields the output of the function. It may
//! also `return` the output, so a layer that looks at the output of the code that it encloses puts
//! that code into a scope of its own.

pub(crate) mod arguments;
mod assemble;
mod attempt;
pub(crate) mod attribute;
pub(crate) mod call_site;
pub(crate) mod callback;
pub(crate) mod cause;
mod closure;
pub(crate) mod crate_path;
mod ending;
pub(crate) mod error_filter;
pub(crate) mod expansion;
mod fault;
mod function;
pub(crate) mod key;
mod output;
mod recovery;
mod rejection;
mod rename_self;
mod scope;
pub(crate) mod setters;
pub(crate) mod stack;
pub(crate) mod values;
