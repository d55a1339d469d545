//! Where the caller's part of a key comes from.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, LitStr, Pat, Result, Token};

use crate::arguments::{Literal, literal, peel};
use crate::crate_path;
use crate::function::Function;

/// `key = …` or `keymaker = …`.
pub(crate) enum Key {
    /// `key = expr`: an expression over the arguments.
    Expr(Expr),
    /// `key = "{user}:{path}"`: a format string over the arguments.
    Format(LitStr),
    /// `keymaker = |…| …`
    Closure(ExprClosure),
    /// `keymaker = path`, or anything else that can be called with references to the arguments.
    Call(Expr),
}

impl Key {
    pub(crate) fn from_key(expr: Expr) -> Self {
        match literal(&expr) {
            Some(Literal::Text(text)) => Self::Format(text),
            _ => Self::Expr(expr),
        }
    }

    pub(crate) fn from_keymaker(expr: Expr, function: &Function) -> Result<Self> {
        if let Some(Literal::Text(text)) = literal(&expr) {
            return Err(Error::new_spanned(
                text,
                "keymaker is a function over the arguments: for a format string use `key = \"…\"`",
            ));
        }
        let Expr::Closure(closure) = peel(&expr) else {
            return Ok(Self::Call(expr));
        };
        check_arity(closure, function)?;
        refuse_exits(&closure.body, "a keymaker")?;
        Ok(Self::Closure(closure.clone()))
    }

    /// Statements that come before, and the expression of type `Option<&impl Display>`.
    pub(crate) fn expand(
        &self,
        function: &Function,
        krate: &TokenStream,
    ) -> (TokenStream, TokenStream) {
        let some = |key: TokenStream, span: Span| {
            let span = span.resolved_at(Span::mixed_site());
            let krate = crate_path::at(krate, span);
            quote_spanned!(span=> #krate::__private::key(&#key))
        };
        match self {
            Self::Expr(expr) => (TokenStream::new(), some(quote!((#expr)), expr.span())),
            Self::Format(text) => {
                let span = text.span().resolved_at(Span::mixed_site());
                let key = quote_spanned!(span=> ::core::format_args!(#text));
                (TokenStream::new(), some(key, span))
            }
            Self::Call(callee) => {
                let names = function.parameters.iter().map(|parameter| {
                    let conditions = &parameter.conditions;
                    let name = &parameter.name;
                    quote!(#(#conditions)* &#name)
                });
                (
                    TokenStream::new(),
                    some(quote!((#callee)(#(#names),*)), callee.span()),
                )
            }
            Self::Closure(closure) => {
                let body = &closure.body;
                (
                    bind_parameters(closure, function),
                    some(quote!({ #body }), body.span()),
                )
            }
        }
    }
}

/// The closure's parameters become variables that hold references to the arguments. All
/// references are taken first: a parameter may have the name of another argument.
fn bind_parameters(closure: &ExprClosure, function: &Function) -> TokenStream {
    let references: Vec<Ident> = (0..closure.inputs.len())
        .map(|index| format_ident!("__premier_reference_{index}", span = Span::mixed_site()))
        .collect();
    let takes = function
        .parameters
        .iter()
        .zip(&references)
        .map(|(parameter, reference)| {
            let (conditions, name) = (&parameter.conditions, &parameter.name);
            quote!(#(#conditions)* let #reference = &#name;)
        });
    let binds = function
        .parameters
        .iter()
        .zip(&references)
        .zip(&closure.inputs)
        .map(|((parameter, reference), pattern)| {
            let conditions = &parameter.conditions;
            quote!(#(#conditions)* let #pattern = #reference;)
        });
    quote!(#(#takes)* #(#binds)*)
}

fn check_arity(closure: &ExprClosure, function: &Function) -> Result<()> {
    let (takes, has) = (closure.inputs.len(), function.parameters.len());
    if takes == has {
        return Ok(());
    }
    let names: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| match &parameter.pattern {
            Some(pattern) => pattern.to_token_stream().to_string(),
            None => parameter.name.to_string(),
        })
        .collect();
    let span = closure
        .inputs
        .first()
        .map_or(closure.inputs_begin.span(), Pat::span);
    Err(Error::new(
        span,
        format!(
            "the keymaker takes {takes} argument{}, the function has {has}: it gets a reference to each of ({})",
            if takes == 1 { "" } else { "s" },
            names.join(", "),
        ),
    ))
}

/// The body of a closure is put where it is used, so leaving it would leave the function.
pub(crate) fn refuse_exits(body: &Expr, what: &str) -> Result<()> {
    fn find(tokens: TokenStream) -> Option<Span> {
        tokens.into_iter().find_map(|token| match token {
            TokenTree::Ident(word) if word == "return" => Some(word.span()),
            TokenTree::Punct(mark) if mark.as_char() == '?' => Some(mark.span()),
            TokenTree::Group(group) => find(group.stream()),
            _ => None,
        })
    }
    match find(body.to_token_stream()) {
        Some(span) => Err(Error::new(
            span,
            format!(
                "`return` and `?` cannot be used in {what}: make it a function and name it here"
            ),
        )),
        None => Ok(()),
    }
}

/// A closure over one value, with the value put in its place: or a call of anything else.
pub(crate) fn apply(callee: &Expr, value: &Ident, of: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let body = &closure.body;
            match &closure.inputs[0] {
                Pat::Type(typed) => quote!({ let #typed = #value; #body }),
                pattern => quote!({ let #pattern: #of = #value; #body }),
            }
        }
        callee => quote!((#callee)(#value)),
    }
}

/// Whether a `move` or nothing stands before the closure: `async` closures have no value to give.
pub(crate) fn refuse_async(callee: &Expr) -> Result<()> {
    match peel(callee) {
        Expr::Closure(ExprClosure {
            asyncness: Some(word),
            ..
        }) => Err(Error::new(
            <Token![async] as Spanned>::span(word),
            "an async closure cannot be used here",
        )),
        _ => Ok(()),
    }
}
