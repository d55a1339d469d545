//! Literals in the values of arguments.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Expr, ExprLit, ExprUnary, Lit, LitStr, UnOp};

/// A literal, without the parentheses and groups around it.
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
    /// A number with a suffix that is no type of Rust's, as in `5ms`.
    Suffixed {
        text: String,
        span: Span,
    },
    /// A `bool`, a character or bytes.
    Other,
}

/// The types of Rust's that a number may have as its suffix.
const TYPES: [&str; 14] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
    "f64",
];

/// Returns the literal that `expr` consists of, if it consists of one.
pub(crate) fn literal(expr: &Expr) -> Option<Literal> {
    match peel(expr) {
        Expr::Lit(ExprLit { lit, .. }) => Some(match lit {
            Lit::Str(text) => Literal::Text(text.clone()),
            Lit::Int(number) if is_type(number.suffix()) => Literal::Whole {
                digits: number.base10_digits().to_owned(),
                negative: false,
                span: number.span(),
            },
            Lit::Float(number) if is_type(number.suffix()) => Literal::Fraction {
                digits: number.base10_digits().to_owned(),
                negative: false,
                span: number.span(),
            },
            Lit::Int(_) | Lit::Float(_) => Literal::Suffixed {
                text: lit.to_token_stream().to_string(),
                span: lit.span(),
            },
            _ => Literal::Other,
        }),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(minus),
            expr,
            ..
        }) => {
            let joined = |span: Span| minus.spans[0].join(span).unwrap_or(span);
            match literal(expr)? {
                Literal::Whole { digits, span, .. } => Some(Literal::Whole {
                    digits,
                    negative: true,
                    span: joined(span),
                }),
                Literal::Fraction { digits, span, .. } => Some(Literal::Fraction {
                    digits,
                    negative: true,
                    span: joined(span),
                }),
                Literal::Suffixed { text, span } => Some(Literal::Suffixed {
                    text: format!("-{text}"),
                    span: joined(span),
                }),
                Literal::Text(_) | Literal::Other => None,
            }
        }
        _ => None,
    }
}

fn is_type(suffix: &str) -> bool {
    suffix.is_empty() || TYPES.contains(&suffix)
}

/// Removes parentheses, and the invisible groups that `macro_rules!` puts around its fragments.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        expr => expr,
    }
}
