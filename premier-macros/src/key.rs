//! Where the caller's part of a key comes from.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, Expr, ExprClosure, LitStr, Pat, Result, Token};

use crate::arguments::{Errors, Literal, literal, peel};
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
    /// `key` or `keymaker`: one of the two, or none.
    pub(crate) fn of(
        key: Option<(Ident, Expr)>,
        keymaker: Option<(Ident, Expr)>,
        function: &Function,
        errors: &mut Errors,
    ) -> Option<Self> {
        match (key, keymaker) {
            (Some(_), Some((name, _))) => {
                errors.at(
                    name.span(),
                    "`keymaker` cannot be given together with `key`: both say what the key is",
                );
                None
            }
            (Some((_, key)), None) => Some(Self::from_key(key)),
            (None, Some((_, keymaker))) => errors.keep(Self::from_keymaker(keymaker, function)),
            (None, None) => None,
        }
    }

    fn from_key(expr: Expr) -> Self {
        match literal(&expr) {
            Some(Literal::Text(text)) => Self::Format(text),
            _ => Self::Expr(expr),
        }
    }

    fn from_keymaker(expr: Expr, function: &Function) -> Result<Self> {
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

    /// Statements that come before, and the expression of type `impl KeyText`.
    pub(crate) fn expand(
        &self,
        function: &Function,
        krate: &TokenStream,
    ) -> (TokenStream, TokenStream) {
        let some = |key: TokenStream, span: Span| {
            let span = span.resolved_at(Span::mixed_site());
            let krate = crate_path::at(krate, span);
            key_of(&krate, &key, span)
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

/// The caller's part of a key, by the shortest way for its type. Not in a block of its own: what
/// the key is made of has to live as long as the key. [`shortest_way`] comes before.
pub(crate) fn key_of(krate: &TokenStream, key: &TokenStream, span: Span) -> TokenStream {
    quote_spanned!(span=> (&&#krate::__private::key(&#key)).premier_key())
}

/// What [`key_of`] needs in scope.
pub(crate) fn shortest_way(krate: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned! {span=>
        #[allow(unused_imports)]
        use #krate::__private::{KeyShortly as _, KeyWritten as _};
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
            quote! {
                #(#conditions)*
                #[allow(clippy::used_underscore_binding)]
                let #reference = &#name;
            }
        });
    let binds = function
        .parameters
        .iter()
        .zip(&references)
        .zip(&closure.inputs)
        .map(|((parameter, reference), pattern)| {
            let conditions = &parameter.conditions;
            quote! {
                #(#conditions)*
                #[allow(clippy::no_effect_underscore_binding)]
                let #pattern = #reference;
            }
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
fn refuse_exits(body: &Expr, what: &str) -> Result<()> {
    /// The first exit that is not one of a closure or block inside.
    struct Exit(Option<Span>);
    impl Exit {
        fn found(&mut self, span: Span) {
            self.0.get_or_insert(span);
        }
    }
    impl VisitMut for Exit {
        fn visit_expr_async_mut(&mut self, _: &mut syn::ExprAsync) {}
        fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}
        fn visit_item_mut(&mut self, _: &mut syn::Item) {}
        fn visit_expr_return_mut(&mut self, exit: &mut syn::ExprReturn) {
            self.found(exit.return_token.span());
        }
        fn visit_expr_try_mut(&mut self, exit: &mut syn::ExprTry) {
            self.found(exit.question_token.span());
        }
        fn visit_macro_mut(&mut self, inside: &mut syn::Macro) {
            fn find(tokens: TokenStream) -> Option<Span> {
                tokens.into_iter().find_map(|token| match token {
                    TokenTree::Ident(word) if word == "return" => Some(word.span()),
                    TokenTree::Punct(mark) if mark.as_char() == '?' => Some(mark.span()),
                    TokenTree::Group(group) => find(group.stream()),
                    _ => None,
                })
            }
            if let Some(span) = find(inside.tokens.clone()) {
                self.found(span);
            }
        }
    }
    let mut exit = Exit(None);
    exit.visit_expr_mut(&mut body.clone());
    match exit.0 {
        Some(span) => Err(Error::new(
            span,
            format!(
                "`return` and `?` cannot be used in {what}: make it a function and name it here"
            ),
        )),
        None => Ok(()),
    }
}

/// A closure, or something else that can be called, with one argument, whose body will stand where
/// it is called.
pub(crate) fn check_callback(callee: &Expr, name: &str, argument: &str) -> Result<()> {
    let Expr::Closure(closure) = peel(callee) else {
        return Ok(());
    };
    if let Some(word) = &closure.asyncness {
        return Err(Error::new(
            <Token![async] as Spanned>::span(word),
            "an async closure cannot be used here",
        ));
    }
    if closure.inputs.len() != 1 {
        return Err(Error::new_spanned(
            closure,
            format!("{name} takes one argument, {argument}"),
        ));
    }
    refuse_exits(&closure.body, name)
}

/// A call with a value whose type is known where it stands.
pub(crate) fn call(callee: &Expr, value: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let (pattern, body) = (&closure.inputs[0], &closure.body);
            quote!({ #[allow(clippy::no_effect_underscore_binding)] let #pattern = #value; #body })
        }
        callee => quote!((#callee)(#value)),
    }
}

/// A closure over one value, with the value put in its place: or a call of anything else.
pub(crate) fn apply(callee: &Expr, value: &Ident, of: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let body = &closure.body;
            let quiet = quote!(#[allow(clippy::no_effect_underscore_binding)]);
            match &closure.inputs[0] {
                Pat::Type(typed) => quote!({ #quiet let #typed = #value; #body }),
                pattern => quote!({ #quiet let #pattern: #of = #value; #body }),
            }
        }
        callee => quote!((#callee)(#value)),
    }
}
