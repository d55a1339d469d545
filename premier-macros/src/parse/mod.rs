//! What the user wrote: the arguments of an attribute and the function below it.
//!
//! This stage reports text that does not have the documented form. Whether a well-formed value is
//! allowed is decided in `validate`.

pub(crate) mod arguments;
pub(crate) mod async_trait;
pub(crate) mod body;
pub(crate) mod error_filter;
pub(crate) mod errors;
pub(crate) mod format;
pub(crate) mod function;
pub(crate) mod invocation;
pub(crate) mod key;
pub(crate) mod limit;
pub(crate) mod limit_costs;
pub(crate) mod literal;
pub(crate) mod manifest;
pub(crate) mod parameter;
pub(crate) mod positional;
pub(crate) mod settling;
pub(crate) mod shape;
pub(crate) mod types;
pub(crate) mod wait;
pub(crate) mod words;
