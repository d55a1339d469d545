//! Arguments of an attribute: `name`, `name = value` and `name(value, …)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Pat, Path, Result, Token, parenthesized};

use super::errors::Errors;
use super::invocation::Invocation;
use super::literal::{Literal, literal, peel};
use super::positional::split_positional;

/// One argument as the user wrote it.
pub(super) struct Argument {
    pub(super) name: Ident,
    pub(super) value: Value,
}

pub(super) enum Value {
    /// `name`
    Flag,
    /// `name = expr`
    Expr(Expr),
    /// `name(expr, …)`
    List(Vec<Expr>),
    /// `on = pattern if guard`
    Pattern(Pat, Option<Expr>),
}

impl Value {
    fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Flag => Some(true),
            Self::Expr(expr) => match peel(expr) {
                Expr::Lit(ExprLit {
                    lit: Lit::Bool(flag),
                    ..
                }) => Some(flag.value),
                _ => None,
            },
            _ => None,
        }
    }
}

const RESULT: &str = "result";

/// Returns the value of `result` or `result = false` and the name for its span. The argument is about
/// the function, so the stack of its attributes reads it.
pub(crate) fn result_argument(invocation: &Invocation) -> Result<Option<(Ident, bool)>> {
    let parsed = syn::parse2::<ArgumentList>(invocation.arguments.clone())
        .or_else(|_| syn::parse2(split_positional(invocation.clone())?.1.arguments));
    // The attribute reports arguments that cannot be parsed.
    let list = parsed.map_or_else(|_| Vec::new(), |list: ArgumentList| list.0);
    let Some(Argument { name, value }) = list.into_iter().find(|other| other.name == RESULT) else {
        return Ok(None);
    };
    match value.as_flag() {
        Some(flag) => Ok(Some((name, flag))),
        None => Err(Error::new(
            name.span(),
            "expected `result` or `result = false`: whether the function returns a `Result`",
        )),
    }
}

/// The arguments of one attribute, each present at most once, and the errors found in them.
pub(crate) struct Arguments {
    attribute: &'static str,
    span: Span,
    given: Vec<Argument>,
    pub(crate) errors: Errors,
}

impl Arguments {
    /// Parses the arguments of an attribute. An argument that is given twice, or that is not in the
    /// comma-separated list `known`, is an error. Every attribute takes the argument of
    /// [`result_argument`].
    pub(crate) fn parse(
        attribute: &'static str,
        known: &str,
        Invocation { arguments, span }: Invocation,
    ) -> Result<Self> {
        let mut errors = Errors::default();
        let mut given: Vec<Argument> = Vec::new();
        for argument in syn::parse2::<ArgumentList>(arguments)?.0 {
            let name = argument.name.to_string();
            if name != RESULT && !known.split(", ").any(|known| known == name) {
                errors.push_at(
                    argument.name.span(),
                    format!("unknown argument `{name}`: #[{attribute}] takes {known}, {RESULT}"),
                );
            } else if given.iter().any(|other| other.name == name) {
                errors.push_at(argument.name.span(), format!("`{name}` is given twice"));
            } else {
                given.push(argument);
            }
        }
        Ok(Self {
            attribute,
            span,
            given,
            errors,
        })
    }

    /// Takes the expression of `name = expr`, and the name for its span.
    pub(crate) fn expr(&mut self, name: &str) -> Option<(Ident, Expr)> {
        let Argument { name, value } = self.take(name)?;
        match value {
            Value::Expr(expr) => Some((name, expr)),
            _ => {
                self.errors
                    .push_at(name.span(), format!("expected `{name} = …`"));
                None
            }
        }
    }

    /// Takes the string of `name = "…"`, which must not be empty.
    pub(crate) fn text(&mut self, name: &str) -> Option<LitStr> {
        let (name, expr) = self.expr(name)?;
        let Some(Literal::Text(text)) = literal(&expr) else {
            self.errors.push(Error::new_spanned(
                expr,
                format!("expected a string, as in `{name} = \"…\"`"),
            ));
            return None;
        };
        if text.value().is_empty() {
            self.errors
                .push_at(text.span(), format!("the {name} must not be empty"));
        }
        Some(text)
    }

    /// Takes `name`, `name = true` or `name = false`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let Some(Argument { name, value }) = self.take(name) else {
            return false;
        };
        value.as_flag().unwrap_or_else(|| {
            self.errors
                .push_at(name.span(), format!("expected `{name}`"));
            false
        })
    }

    /// Takes `name` or `name = expr`: `None` for the first. An error shows `example` as the value.
    pub(crate) fn flag_or_expr(
        &mut self,
        name: &str,
        example: &str,
    ) -> Option<(Ident, Option<Expr>)> {
        let Argument { name, value } = self.take(name)?;
        match value {
            Value::Flag => Some((name, None)),
            Value::Expr(value) => Some((name, Some(value))),
            _ => {
                self.errors.push_at(
                    name.span(),
                    format!("expected `{name}` or `{name} = {example}`"),
                );
                None
            }
        }
    }

    /// Takes the expressions of `name(expr, …)`. An error shows `example`.
    pub(crate) fn list(&mut self, name: &str, example: &str) -> Option<(Ident, Vec<Expr>)> {
        let Argument { name, value } = self.take(name)?;
        match value {
            Value::List(list) => Some((name, list)),
            _ => {
                self.errors
                    .push_at(name.span(), format!("expected `{example}`"));
                None
            }
        }
    }

    /// Takes the pattern and the guard of `on = pattern if guard`.
    pub(crate) fn on(&mut self) -> Option<(Pat, Option<Expr>)> {
        let Argument { name, value } = self.take("on")?;
        match value {
            Value::Pattern(pattern, guard) => Some((pattern, guard)),
            _ => {
                self.errors.push_at(
                    name.span(),
                    "expected a pattern over the error, as in `on = AppError::Timeout | AppError::Busy(_)`",
                );
                None
            }
        }
    }

    /// Takes `crate = ::path`.
    pub(crate) fn crate_path(&mut self) -> Option<Path> {
        let (_, expr) = self.expr("crate")?;
        match peel(&expr) {
            Expr::Path(path) => Some(path.path.clone()),
            other => {
                self.errors.push(Error::new_spanned(
                    other,
                    "expected a path, as in `crate = ::premier`",
                ));
                None
            }
        }
    }

    /// Returns where the argument `name` stands, if it was given.
    pub(crate) fn span_of(&self, name: &str) -> Option<Span> {
        let argument = self.given.iter().find(|given| given.name == name)?;
        Some(argument.name.span())
    }

    /// Where the attribute stands, for what is missing in it.
    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    /// Records that the attribute lacks an argument that it needs.
    pub(crate) fn report_missing(&mut self, what: &str) {
        self.errors
            .push_at(self.span, format!("#[{}] needs {what}", self.attribute));
    }

    /// Returns the errors of all arguments, of which there is one at least.
    pub(crate) fn into_error(self) -> Error {
        match self.errors.finish(()) {
            Err(error) => error,
            Ok(()) => Error::new(self.span, "an argument is missing"),
        }
    }

    /// Returns `value`, or the errors of all arguments.
    pub(crate) fn finish<T>(self, value: T) -> Result<T> {
        self.errors.finish(value)
    }

    fn take(&mut self, name: &str) -> Option<Argument> {
        let index = self.given.iter().position(|other| other.name == name)?;
        Some(self.given.remove(index))
    }
}

pub(super) struct ArgumentList(pub(super) Vec<Argument>);

impl ToTokens for Argument {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let name = &self.name;
        tokens.extend(match &self.value {
            Value::Flag => quote!(#name),
            Value::Expr(expr) => quote!(#name = #expr),
            Value::List(list) => quote!(#name(#(#list),*)),
            Value::Pattern(pattern, None) => quote!(#name = #pattern),
            Value::Pattern(pattern, Some(guard)) => quote!(#name = #pattern if #guard),
        });
    }
}

impl Parse for ArgumentList {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Punctuated::<Argument, Token![,]>::parse_terminated(input)
            .map(|arguments| Self(arguments.into_iter().collect()))
    }
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(syn::Lit) {
            return Err(input.error("expected `name = value`"));
        }
        let name = input.call(Ident::parse_any)?;
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
