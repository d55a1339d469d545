//! The key of a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ExprClosure;
use syn::spanned::Spanned;

use super::arguments::borrow_patterns;
use super::callback::type_span;
use super::closure::inserted_body;
use super::crate_path::respan;
use crate::parse::function::Function;
use crate::parse::key::Key;
use crate::parse::literal::peel;
use crate::parse::parameter::Parameter;

/// The tokens of a key.
pub(crate) struct KeyTokens {
    /// Statements that come before `value`, in the same block.
    pub(crate) statements: TokenStream,
    /// An expression for the key. It may borrow from temporaries, so it cannot be in a block of
    /// its own.
    pub(crate) value: TokenStream,
}

impl KeyTokens {
    /// The key with everything that it needs, or that of a function without keys.
    pub(crate) fn of(key: Option<&Key>, function: &Function, crate_path: &TokenStream) -> Self {
        let Some(key) = key else {
            let span = Span::mixed_site();
            return Self {
                statements: TokenStream::new(),
                value: quote_spanned!(span=> #crate_path::__private::NoKey),
            };
        };
        let import_key_traits = import_key_traits(crate_path);
        let borrows = borrow_for_key(key, function);
        let Self { statements, value } = Self::new(key, function, crate_path);
        Self {
            statements: quote!(#import_key_traits #borrows #statements),
            value,
        }
    }

    fn new(key: &Key, function: &Function, crate_path: &TokenStream) -> Self {
        let mut statements = TokenStream::new();
        let (expr, span) = match key {
            Key::Expr(expr) => {
                let expr = peel(expr);
                (quote!((#expr)), expr.span())
            }
            Key::Format(text) => {
                let span = text.span().resolved_at(Span::mixed_site());
                (quote_spanned!(span=> ::core::format_args!(#text)), span)
            }
            Key::Call(callee) => {
                // The compiler reports an argument of the wrong type at the argument.
                let span = callee.span().resolved_at(Span::mixed_site());
                let references = references(function, span);
                statements = make_references(function, &references);
                let arguments = function.parameters.iter().zip(&references).map(
                    |(Parameter { cfg_attrs, .. }, reference)| quote!(#(#cfg_attrs)* #reference),
                );
                let callee = peel(callee);
                (quote_spanned!(span=> (#callee)(#(#arguments),*)), span)
            }
            Key::Closure(closure) => {
                let body = inserted_body(closure);
                statements = bind_closure_parameters(closure, function);
                (quote!({ #body }), body.span())
            }
        };
        let span = span.resolved_at(Span::mixed_site());
        Self {
            statements,
            value: key_of(&respan(crate_path, span), &expr, span),
        }
    }
}

/// Returns statements that bind the names that `key` refers to and that only exist in the body of
/// the function. The closures and functions of `keymaker` get the whole arguments instead.
fn borrow_for_key(key: &Key, function: &Function) -> Option<TokenStream> {
    match key {
        Key::Expr(_) | Key::Format(_) => Some(borrow_patterns(function)),
        Key::Closure(_) | Key::Call(_) => None,
    }
}

/// Returns the key for an expression that implements `Display`. The traits of
/// [`import_key_traits`] choose a faster representation than text for types that have one.
fn key_of(crate_path: &TokenStream, expr: &TokenStream, span: Span) -> TokenStream {
    quote_spanned!(span=> (&&#crate_path::bounds::CallKey::key(&#expr)).premier_key())
}

/// Returns the imports that the expression of [`key_of`] needs.
fn import_key_traits(crate_path: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned! {span=>
        #[allow(unused_imports)]
        use #crate_path::__private::{KeyFast as _, KeyFormatted as _};
    }
}

/// Binds the parameters of the closure to references to the arguments. All references are made
/// first, because a parameter may have the name of another argument.
fn bind_closure_parameters(closure: &ExprClosure, function: &Function) -> TokenStream {
    let references = references(function, Span::mixed_site());
    let make_references = make_references(function, &references);
    let parameters = function.parameters.iter().zip(&references);
    let bind_patterns = parameters
        .zip(&closure.inputs)
        .map(|((parameter, reference), pattern)| {
            let cfg_attrs = &parameter.cfg_attrs;
            let mut reference = reference.clone();
            reference.set_span(type_span(pattern).resolved_at(Span::mixed_site()));
            quote! {
                #(#cfg_attrs)*
                #[allow(clippy::no_effect_underscore_binding)]
                let #pattern = #reference;
            }
        });
    quote!(#make_references #(#bind_patterns)*)
}

/// Returns names for references to the arguments.
fn references(function: &Function, span: Span) -> Vec<Ident> {
    (0..function.parameters.len())
        .map(|index| format_ident!("__premier_reference_{index}", span = span))
        .collect()
}

fn make_references(function: &Function, references: &[Ident]) -> TokenStream {
    let parameters = function.parameters.iter().zip(references);
    parameters
        .map(|(parameter, reference)| {
            let (cfg_attrs, name) = (&parameter.cfg_attrs, &parameter.name);
            quote! {
                #(#cfg_attrs)*
                #[allow(clippy::used_underscore_binding)]
                let #reference = &#name;
            }
        })
        .collect()
}
