//! Calls of the user's callbacks.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Expr, Pat};

use crate::parse::literal::peel;

/// Calls `callee` with `value`, whose type the compiler knows. The body of a closure is inserted,
/// because a closure that is called where it is written does not infer the types of its
/// parameters.
pub(crate) fn call(callee: &Expr, value: &TokenStream) -> TokenStream {
    match peel(callee) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {
            let (pattern, body) = (&closure.inputs[0], &closure.body);
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
            let body = &closure.body;
            let quiet = quote!(#[allow(clippy::no_effect_underscore_binding)]);
            match &closure.inputs[0] {
                Pat::Type(typed) => quote!({ #quiet let #typed = #value; #body }),
                pattern => quote!({ #quiet let #pattern: #ty = #value; #body }),
            }
        }
        callee => quote!((#callee)(#value)),
    }
}
