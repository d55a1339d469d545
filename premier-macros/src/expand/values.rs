//! Tokens of checked values.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, LitStr};

use crate::validate::checked::{Checked, Nanos};

/// Values that an argument may have.
pub(crate) trait Value: ToTokens {
    /// Converts an expression for such a value. An expression of another type must be an error here, at
    /// the expression: an error at a setter of the runtime would mention it.
    fn convert(expr: &Expr) -> TokenStream;
}

impl Value for u64 {
    fn convert(expr: &Expr) -> TokenStream {
        by_bound(expr, "WholeNumber", "into_number")
    }
}

impl Value for Nanos {
    fn convert(expr: &Expr) -> TokenStream {
        by_bound(expr, "LengthOfTime", "into_period")
    }
}

impl Value for f64 {
    fn convert(expr: &Expr) -> TokenStream {
        let span = span_of(expr);
        quote_spanned!(span=> ::core::convert::Into::<f64>::into(#expr))
    }
}

impl Value for LitStr {
    fn convert(expr: &Expr) -> TokenStream {
        let span = span_of(expr);
        quote_spanned!(span=> ::core::convert::AsRef::<str>::as_ref(&#expr))
    }
}

/// The name of [`import_bounds`].
pub(super) const BOUNDS: &str = "__premier_bounds";

/// Imports the traits that convert expressions.
pub(crate) fn import_bounds(crate_path: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let bounds = Ident::new(BOUNDS, span);
    quote_spanned!(span=> #[allow(unused_imports)] use #crate_path::bounds as #bounds;)
}

/// Converts an expression by one of the traits of [`import_bounds`].
pub(crate) fn by_bound(expr: &Expr, bound: &str, method: &str) -> TokenStream {
    tokens_by_bound(expr, span_of(expr), bound, method)
}

/// Converts the number of units that is the value of `tokens`, which call `callee`.
pub(crate) fn units_of_callback(tokens: &TokenStream, callee: &Expr) -> TokenStream {
    tokens_by_bound(tokens, span_of(callee), "WholeNumber", "into_number")
}

fn tokens_by_bound(value: impl ToTokens, span: Span, bound: &str, method: &str) -> TokenStream {
    let bounds = Ident::new(BOUNDS, span);
    let (bound, method) = (Ident::new(bound, span), Ident::new(method, span));
    quote_spanned!(span=> #bounds::#bound::#method(#value))
}

fn span_of(expr: &Expr) -> Span {
    expr.span().resolved_at(Span::mixed_site())
}

impl<T: Value> ToTokens for Checked<T> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(value) => value.to_tokens(tokens),
            Self::Runtime(expr) => tokens.extend(T::convert(expr)),
        }
    }
}

impl ToTokens for Nanos {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let nanos = self.0;
        tokens.extend(quote!(::core::time::Duration::from_nanos(#nanos)));
    }
}
