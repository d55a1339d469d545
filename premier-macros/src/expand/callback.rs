//! Calls of the user's callbacks.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Expr, Pat};

use super::closure::inserted_body;
use crate::parse::literal::peel;

/// Calls `callee` with `value`, whose type the compiler knows. The body of a closure is inserted.
pub(crate) fn call(callee: &Expr, value: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let (pattern, body) = (&closure.inputs[0], inserted_body(closure));
            quote!({ #[allow(clippy::no_effect_underscore_binding)] let #pattern = #value; #body })
        }
        callee => quote!((#callee)(#value)),
    }
}

/// Calls `callee` with the variable `value` of type `ty`, as [`call`] does. The parameter of a
/// closure gets the type, unless the user wrote one.
pub(super) fn call_typed(callee: &Expr, value: &Ident, ty: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let body = inserted_body(closure);
            let quiet = quote!(#[allow(clippy::no_effect_underscore_binding)]);
            match &closure.inputs[0] {
                Pat::Type(typed) => quote!({ #quiet let #typed = #value; #body }),
                pattern => quote!({ #quiet let #pattern: #ty = #value; #body }),
            }
        }
        callee => quote!((#callee)(#value)),
    }
}
