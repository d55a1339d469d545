//! Calls of the user's callbacks.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Pat};

use super::closure::inserted_body;
use super::crate_path::respan;
use crate::parse::literal::peel;

/// Calls `callee` with `value`, whose type the compiler knows. The body of a closure is inserted.
pub(crate) fn call(callee: &Expr, value: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let (pattern, body) = (&closure.inputs[0], inserted_body(closure));
            let value = respan(value, type_span(pattern));
            quote!({ #[allow(clippy::no_effect_underscore_binding)] let #pattern = #value; #body })
        }
        callee => call_path(callee, value),
    }
}

/// Calls `callee` with the variable `value` of type `ty`, as [`call`] does. The parameter of a
/// closure gets the type, unless the user wrote one.
pub(crate) fn call_typed(callee: &Expr, value: &Ident, ty: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let body = inserted_body(closure);
            let quiet = quote!(#[allow(clippy::no_effect_underscore_binding)]);
            let pattern = &closure.inputs[0];
            let value = respan(&value.to_token_stream(), type_span(pattern));
            match pattern {
                Pat::Type(typed) => quote!({ #quiet let #typed = #value; #body }),
                pattern => quote!({ #quiet let #pattern: #ty = #value; #body }),
            }
        }
        callee => call_path(callee, &value.to_token_stream()),
    }
}

/// The span of the type that the user wrote for a parameter of a closure, or of the whole parameter. The
/// compiler reports a type that is not the right one there.
pub(super) fn type_span(pattern: &Pat) -> Span {
    match pattern {
        Pat::Type(typed) => typed.ty.span(),
        pattern => pattern.span(),
    }
}

/// Calls a function with `value`, which has only names of the expansion's. The compiler reports a
/// function of another type at its name.
fn call_path(callee: &Expr, value: &TokenStream) -> TokenStream {
    let span = callee.span().resolved_at(Span::mixed_site());
    let value = respan(value, span);
    quote_spanned!(span=> (#callee)(#value))
}
