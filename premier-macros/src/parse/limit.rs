//! The arguments that define a limit.

use proc_macro2::{Ident, Span};
use syn::Expr;

use super::arguments::Arguments;

/// An argument `name = expr`, if the user gave it.
pub(crate) type NamedExpr = Option<(Ident, Expr)>;

/// The arguments that define a limit, as the user wrote them.
pub(crate) struct LimitArgs {
    /// Where the attribute stands.
    pub(crate) span: Span,
    pub(crate) quota: NamedExpr,
    pub(crate) duration: NamedExpr,
    pub(crate) rate: NamedExpr,
    pub(crate) limits: Option<(Ident, Vec<Expr>)>,
    pub(crate) algo: Option<Expr>,
    pub(crate) burst: NamedExpr,
    pub(crate) bucket_size: NamedExpr,
    pub(crate) lease: NamedExpr,
}

impl LimitArgs {
    pub(crate) fn take(arguments: &mut Arguments) -> Self {
        Self {
            span: arguments.span(),
            limits: arguments.list("limits", "limits(\"5/s\", \"100/min\")"),
            quota: arguments.expr("quota"),
            duration: arguments.expr("duration"),
            rate: arguments.expr("rate"),
            algo: arguments.expr("algo").map(|(_, algo)| algo),
            burst: arguments.expr("burst"),
            bucket_size: arguments.expr("bucket_size"),
            lease: arguments.expr("lease"),
        }
    }

    /// All expressions in the arguments.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let named = [
            &self.quota,
            &self.duration,
            &self.rate,
            &self.burst,
            &self.bucket_size,
            &self.lease,
        ];
        let limits = self.limits.iter().flat_map(|(_, limits)| limits);
        named
            .into_iter()
            .flatten()
            .map(|(_, expr)| expr)
            .chain(limits)
            .chain(&self.algo)
    }
}
