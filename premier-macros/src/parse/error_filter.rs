//! The `on` and `when` arguments.

use syn::{Expr, Pat};

/// Selects the errors that an attribute reacts to.
pub(crate) enum ErrorFilter {
    All,
    /// `on = pattern if guard`
    Pattern(Pat, Option<Expr>),
    /// `when = |error| …`
    Predicate(Expr),
}
