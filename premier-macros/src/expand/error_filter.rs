//! The condition of an error filter.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Pat};

use super::callback::call;
use crate::parse::error_filter::ErrorFilter;

/// Returns an expression that is `true` if the filter selects `error`, an expression of type `&E`.
pub(crate) fn selects(filter: &ErrorFilter, error: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    match filter {
        ErrorFilter::All => quote_spanned!(span=> true),
        ErrorFilter::Pattern(pattern, guard) => {
            let constants = constants(pattern);
            let pattern = resolved(pattern);
            let guard = guard.as_ref().map(|guard| quote_spanned!(span=> if #guard));
            quote_spanned! {span=>
                {
                    #(let _ = &#constants;)*
                    #[allow(unreachable_patterns, unused_variables)]
                    let __premier_counts = match #error {
                        #pattern #guard => true,
                        _ => false,
                    };
                    __premier_counts
                }
            }
        }
        ErrorFilter::Predicate(predicate) => call(predicate, error),
    }
}

/// Returns the pattern such that a name which the compiler cannot find is an error, and not a
/// variable that matches everything: a struct pattern for the name of a variant, which cannot be a
/// variable. A constant cannot be one either if it is used first.
fn resolved(pattern: &Pat) -> TokenStream {
    let span = Span::mixed_site();
    match pattern {
        Pat::Ident(name) if name.subpat.is_none() && name.by_ref.is_none() => {
            let name = &name.ident;
            if !name.to_string().starts_with(char::is_uppercase) {
                return name.to_token_stream();
            }
            if is_constant(name) {
                return name.to_token_stream();
            }
            quote_spanned!(span=> #name {})
        }
        Pat::Or(or) => {
            let cases = or.cases.iter().map(resolved);
            quote!(#(#cases)|*)
        }
        Pat::Paren(inner) => {
            let inner = resolved(&inner.pat);
            quote!((#inner))
        }
        _ => pattern.to_token_stream(),
    }
}

/// Returns the names in a pattern that can only be constants.
fn constants(pattern: &Pat) -> Vec<&Ident> {
    match pattern {
        Pat::Ident(name) if name.subpat.is_none() && is_constant(&name.ident) => vec![&name.ident],
        Pat::Or(or) => or.cases.iter().flat_map(constants).collect(),
        Pat::Paren(inner) => constants(&inner.pat),
        _ => Vec::new(),
    }
}

fn is_constant(name: &Ident) -> bool {
    let name = name.to_string();
    name.len() > 1 && name.starts_with(char::is_uppercase) && !name.contains(char::is_lowercase)
}
