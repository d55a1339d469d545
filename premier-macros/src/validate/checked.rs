//! Values whose rules were checked as far as they are known at compile time.

use syn::Expr;

/// The value of an argument.
pub(crate) enum Checked<T> {
    /// A literal that obeys all rules.
    Literal(T),
    /// Any other expression. The runtime checks its value.
    Runtime(Expr),
}

impl<T> Checked<T> {
    pub(crate) const fn literal(&self) -> Option<&T> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Runtime(_) => None,
        }
    }
}

/// A duration in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Nanos(pub(crate) u64);
