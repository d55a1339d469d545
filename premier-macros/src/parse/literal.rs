//! Literals in the values of arguments.

use proc_macro2::Span;
use syn::{Expr, ExprLit, ExprUnary, Lit, LitStr, UnOp};

/// A string or a number, without the parentheses and groups around it.
pub(crate) enum Literal {
    Text(LitStr),
    /// An integer. `digits` has neither a sign nor a type suffix.
    Whole {
        digits: String,
        negative: bool,
        span: Span,
    },
    /// A floating-point number. `digits` has neither a sign nor a type suffix.
    Fraction {
        digits: String,
        negative: bool,
        span: Span,
    },
}

/// Returns the literal that `expr` consists of, if it consists of one.
pub(crate) fn literal(expr: &Expr) -> Option<Literal> {
    match peel(expr) {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Some(Literal::Text(text.clone())),
            Lit::Int(number) => Some(Literal::Whole {
                digits: number.base10_digits().to_owned(),
                negative: false,
                span: number.span(),
            }),
            Lit::Float(number) => Some(Literal::Fraction {
                digits: number.base10_digits().to_owned(),
                negative: false,
                span: number.span(),
            }),
            _ => None,
        },
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(minus),
            expr,
            ..
        }) => match literal(expr)? {
            Literal::Whole { digits, span, .. } => Some(Literal::Whole {
                digits,
                negative: true,
                span: minus.spans[0].join(span).unwrap_or(span),
            }),
            Literal::Fraction { digits, span, .. } => Some(Literal::Fraction {
                digits,
                negative: true,
                span: minus.spans[0].join(span).unwrap_or(span),
            }),
            Literal::Text(_) => None,
        },
        _ => None,
    }
}

/// Removes parentheses, and the invisible groups that `macro_rules!` puts around its fragments.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        expr => expr,
    }
}
