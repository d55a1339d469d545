//! The `key` and `keymaker` arguments.

use proc_macro2::Ident;
use syn::{Expr, ExprClosure, LitStr};

use super::arguments::Arguments;
use super::literal::{Literal, literal, peel};

/// An expression that identifies the caller of a function.
pub(crate) enum Key {
    /// `key = expr`: an expression over the arguments of the function.
    Expr(Expr),
    /// `key = "{user}:{path}"`: a format string over the arguments of the function.
    Format(LitStr),
    /// `keymaker = |…| …`: a closure over references to all arguments of the function.
    Closure(ExprClosure),
    /// `keymaker = path`: anything else that can be called with these references.
    Call(Expr),
}

impl Key {
    pub(crate) fn from_key(expr: Expr) -> Self {
        match literal(&expr) {
            Some(Literal::Text(text)) => Self::Format(text),
            _ => Self::Expr(expr),
        }
    }

    pub(crate) fn from_keymaker(expr: Expr) -> Self {
        match peel(&expr) {
            Expr::Closure(closure) => Self::Closure(closure.clone()),
            _ => Self::Call(expr),
        }
    }
}

/// `key = …` and `keymaker = …` with the names of the arguments.
pub(crate) struct KeyArgs {
    pub(crate) key: Option<(Ident, Expr)>,
    pub(crate) keymaker: Option<(Ident, Expr)>,
}

impl KeyArgs {
    pub(crate) fn take(arguments: &mut Arguments) -> Self {
        Self {
            key: arguments.expr("key"),
            keymaker: arguments.expr("keymaker"),
        }
    }
}
