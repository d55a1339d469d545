//! Arguments of attributes: `name`, `name = value` and `name(value, …)`.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Result, Token, UnOp, parenthesized};

use crate::quantity;

/// One argument as written.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    Flag,
    Expr(Expr),
    List(Vec<Expr>),
}

/// All arguments of one attribute.
pub(crate) struct Arguments(pub(crate) Vec<Argument>);

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Punctuated::<Argument, Token![,]>::parse_terminated(input)
            .map(|arguments| Self(arguments.into_iter().collect()))
    }
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = if input.peek(syn::Lit) {
            return Err(input.error("expected `name = value`"));
        } else {
            input.call(Ident::parse_any)?
        };
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Expr(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            let list;
            parenthesized!(list in input);
            let list = Punctuated::<Expr, Token![,]>::parse_terminated(&list)?;
            Value::List(list.into_iter().collect())
        } else {
            Value::Flag
        };
        Ok(Self { name, value })
    }
}

impl Argument {
    /// The expression of `name = expr`.
    pub(crate) fn expr(self) -> Result<Expr> {
        match self.value {
            Value::Expr(expr) => Ok(expr),
            _ => Err(Error::new(
                self.name.span(),
                format!("expected `{} = …`", self.name),
            )),
        }
    }

    /// The text of `name = "…"`.
    pub(crate) fn text(self) -> Result<LitStr> {
        let name = self.name.clone();
        let expr = self.expr()?;
        match literal(&expr) {
            Some(Literal::Text(text)) => Ok(text),
            _ => Err(Error::new_spanned(
                expr,
                format!("expected a string, as in `{name} = \"…\"`"),
            )),
        }
    }
}

/// A literal, however wrapped: in parentheses, or in the invisible groups of `macro_rules!`.
pub(crate) enum Literal {
    Text(LitStr),
    /// Digits without a sign or a type.
    Whole {
        digits: String,
        negative: bool,
        span: Span,
    },
    Fraction {
        digits: String,
        negative: bool,
        span: Span,
    },
}

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

pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        expr => expr,
    }
}

/// A whole number that is written out; `None` for other expressions.
pub(crate) fn whole(
    name: &str,
    expr: &Expr,
    check: fn(u128) -> std::result::Result<u64, String>,
) -> Result<Option<u64>> {
    match literal(expr) {
        None => Ok(None),
        Some(Literal::Whole {
            digits,
            negative: false,
            span,
        }) => {
            let number = digits.parse().unwrap_or(u128::MAX);
            check(number)
                .map(Some)
                .map_err(|message| Error::new(span, message))
        }
        Some(Literal::Whole { negative: true, .. }) => Err(Error::new_spanned(
            expr,
            format!("{name} must not be negative"),
        )),
        Some(_) => Err(Error::new_spanned(
            expr,
            format!("{name} must be a whole number"),
        )),
    }
}

/// A length of time that is written out, in nanoseconds; `None` for other expressions.
pub(crate) fn period(expr: &Expr) -> Result<Option<u64>> {
    let parsed = match literal(expr) {
        None => return Ok(None),
        Some(Literal::Text(text)) => quantity::parse_duration(&text.value()),
        Some(Literal::Whole { negative: true, .. } | Literal::Fraction { negative: true, .. }) => {
            Err("a duration must not be negative".into())
        }
        Some(Literal::Whole { digits, .. } | Literal::Fraction { digits, .. }) => {
            quantity::parse_seconds(&digits)
        }
    };
    parsed
        .map(Some)
        .map_err(|message| Error::new_spanned(expr, message))
}

/// Errors of one attribute, reported together.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(Error::new(span, message));
    }

    /// The value, or nothing and one error more.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn or<T>(self, value: T) -> Result<T> {
        match self.0 {
            Some(errors) => Err(errors),
            None => Ok(value),
        }
    }
}
