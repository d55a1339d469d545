//! The arguments about calls whose real cost is known only afterwards.

use proc_macro2::Ident;
use syn::Expr;

use super::arguments::Arguments;
use super::limit::NamedExpr;

/// `settle`, `max_debt` and `on_drop`, as the user wrote them.
pub(crate) struct SettlingArgs {
    /// A callback that gets the output.
    pub(crate) settle: Option<Expr>,
    pub(crate) max_debt: NamedExpr,
    pub(crate) on_drop: NamedExpr,
}

impl SettlingArgs {
    /// `settle` has been taken already.
    pub(crate) fn take(arguments: &mut Arguments, settle: Option<Expr>) -> Self {
        Self {
            settle,
            max_debt: arguments.expr("max_debt"),
            on_drop: arguments.expr("on_drop"),
        }
    }

    /// The names of the arguments that need `settle`, where they were given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Ident> {
        let given = [&self.max_debt, &self.on_drop];
        given.into_iter().flatten().map(|(name, _)| name)
    }
}
