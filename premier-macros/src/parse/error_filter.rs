//! The `on` and `when` arguments.

use proc_macro2::Ident;
use syn::{Expr, Pat};

use super::arguments::Arguments;

/// Selects the errors that an attribute reacts to.
pub(crate) enum ErrorFilter {
    All,
    /// `on = pattern if guard`
    Pattern(Pat, Option<Expr>),
    /// `when = |error| …`
    Predicate(Expr),
}

/// `on = …` and `when = …` as the user wrote them.
pub(crate) struct ErrorFilterArgs {
    pub(crate) on: Option<(Pat, Option<Expr>)>,
    pub(crate) when: Option<(Ident, Expr)>,
}

impl ErrorFilterArgs {
    pub(crate) fn take(arguments: &mut Arguments) -> Self {
        Self {
            on: arguments.on(),
            when: arguments.expr("when"),
        }
    }
}
