//! The condition of an error filter.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::callback::call;
use crate::parse::error_filter::ErrorFilter;

/// Returns an expression that is `true` if the filter selects `error`, an expression of type `&E`.
pub(crate) fn selects(filter: &ErrorFilter, error: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    match filter {
        ErrorFilter::All => quote_spanned!(span=> true),
        ErrorFilter::Pattern(pattern, guard) => {
            let guard = guard.as_ref().map(|guard| quote_spanned!(span=> if #guard));
            quote_spanned! {span=>
                {
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
