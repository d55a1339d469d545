//! Arguments of attributes: `name`, `name = value` and `name(value, …)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Pat, Result, Token, UnOp, parenthesized};

use crate::{crate_path, key};

/// One argument as written.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    Flag,
    Expr(Expr),
    List(Vec<Expr>),
    /// Of `on`, with its guard.
    Pattern(Pat, Option<Expr>),
}

/// All arguments of one attribute, each at most once.
pub(crate) struct Arguments {
    attribute: &'static str,
    given: Vec<Argument>,
}

struct List(Vec<Argument>);

impl Parse for List {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Punctuated::<Argument, Token![,]>::parse_terminated(input)
            .map(|arguments| Self(arguments.into_iter().collect()))
    }
}

impl Arguments {
    /// Reads `tokens`; what is not `known`, or given twice, is an error.
    pub(crate) fn parse(
        attribute: &'static str,
        known: &str,
        tokens: TokenStream,
        errors: &mut Errors,
    ) -> Result<Self> {
        let mut given: Vec<Argument> = Vec::new();
        for argument in syn::parse2::<List>(tokens)?.0 {
            let name = argument.name.to_string();
            if !known.split(", ").any(|known| known == name) {
                errors.at(
                    argument.name.span(),
                    format!("unknown argument `{name}`: #[{attribute}] takes {known}"),
                );
            } else if given.iter().any(|other| other.name == name) {
                errors.at(argument.name.span(), format!("`{name}` is given twice"));
            } else {
                given.push(argument);
            }
        }
        Ok(Self { attribute, given })
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Argument> {
        let place = self.given.iter().position(|other| other.name == name)?;
        Some(self.given.remove(place))
    }

    /// The expression of `name = expr`, with the name.
    pub(crate) fn expr(&mut self, name: &str, errors: &mut Errors) -> Option<(Ident, Expr)> {
        let argument = self.take(name)?;
        let name = argument.name.clone();
        let expr = errors.keep(argument.expr())?;
        Some((name, expr))
    }

    /// The text of `name = "…"`.
    pub(crate) fn text(&mut self, name: &str, errors: &mut Errors) -> Option<LitStr> {
        let argument = self.take(name)?;
        let text = errors.keep(argument.text())?;
        if text.value().is_empty() {
            errors.at(text.span(), format!("the {name} must not be empty"));
        }
        Some(text)
    }

    /// The path of premier: `crate = ::path`, or what the manifest tells.
    pub(crate) fn krate(&mut self, errors: &mut Errors) -> TokenStream {
        let path = match self.expr("crate", errors) {
            None => None,
            Some((_, expr)) => match peel(&expr) {
                Expr::Path(path) => Some(path.path.clone()),
                other => {
                    errors.push(Error::new_spanned(
                        other,
                        "expected a path, as in `crate = ::premier`",
                    ));
                    None
                }
            },
        };
        crate_path::crate_path(path.as_ref())
    }

    /// `on_reject = |error| value`
    pub(crate) fn on_reject(&mut self, errors: &mut Errors) -> Option<Expr> {
        let (_, on_reject) = self.expr("on_reject", errors)?;
        errors.keep(key::check_callback(
            &on_reject,
            "on_reject",
            "the premier::Error, as in `on_reject = |error| …`",
        ));
        Some(on_reject)
    }

    /// A missing argument.
    pub(crate) fn missing(&self, what: &str) -> Error {
        Error::new(
            Span::call_site(),
            format!("#[{}] needs {what}", self.attribute),
        )
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
            if name == "on" {
                let pattern = Pat::parse_multi_with_leading_vert(input)?;
                let guard = match input.parse::<Option<Token![if]>>()? {
                    Some(_) => Some(input.parse()?),
                    None => None,
                };
                Value::Pattern(pattern, guard)
            } else {
                Value::Expr(input.parse()?)
            }
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
    check: impl FnOnce(u128) -> std::result::Result<u64, String>,
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
        Some(Literal::Text(text)) => premier_parse::parse_duration(&text.value()),
        Some(Literal::Whole { negative: true, .. } | Literal::Fraction { negative: true, .. }) => {
            Err("a duration must not be negative".into())
        }
        Some(Literal::Whole { digits, .. } | Literal::Fraction { digits, .. }) => {
            premier_parse::parse_seconds(&digits)
        }
    };
    parsed
        .map(Some)
        .map_err(|message| Error::new_spanned(expr, message))
}

/// Code for a length of time, and whether its value is known to be good.
pub(crate) fn duration(expr: &Expr, errors: &mut Errors) -> (TokenStream, bool) {
    match errors.keep(period(expr)) {
        Some(Some(nanos)) => (quote!(::core::time::Duration::from_nanos(#nanos)), true),
        Some(None) => (quote!(#expr), false),
        None => (TokenStream::new(), true),
    }
}

/// The same where zero makes no sense.
pub(crate) fn positive_duration(what: &str, expr: &Expr, errors: &mut Errors) -> TokenStream {
    if matches!(period(expr), Ok(Some(0))) {
        errors.push(Error::new_spanned(
            expr,
            format!("{what} must be longer than zero"),
        ));
    }
    duration(expr, errors).0
}

/// Code for a whole number. One that is written out is a `u64`, whatever it would be by itself.
pub(crate) fn number(
    name: &str,
    expr: &Expr,
    errors: &mut Errors,
    check: impl FnOnce(u128) -> std::result::Result<u64, String>,
) -> TokenStream {
    match errors.keep(whole(name, expr, check)).flatten() {
        Some(number) => quote!(#number),
        None => quote!(#expr),
    }
}

/// A whole number of at least 1.
pub(crate) fn positive(name: &str, expr: &Expr, errors: &mut Errors) -> TokenStream {
    number(name, expr, errors, |number| match u64::try_from(number) {
        Ok(number @ 1..) => Ok(number),
        Ok(0) => Err(format!("{name} must be at least 1")),
        Err(_) => Err(format!("{name} is too large")),
    })
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

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
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
