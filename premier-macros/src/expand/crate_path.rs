//! The path by which expansions refer to premier.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use crate::parse::arguments::Arguments;
use crate::parse::manifest;

/// Takes `crate = ::path`. Without it, the path is the name that the manifest gives to premier.
pub(crate) fn take_crate_path(arguments: &mut Arguments) -> TokenStream {
    let span = Span::mixed_site();
    match arguments.crate_path() {
        Some(path) => quote_spanned!(span=> #path),
        None => default_crate_path(),
    }
}

/// The path by the name that the manifest gives to premier.
pub(super) fn default_crate_path() -> TokenStream {
    let span = Span::mixed_site();
    let name = Ident::new(&manifest::dependency_name(), span);
    quote_spanned!(span=> ::#name)
}

/// Gives tokens of the expansion's another span: the compiler shows an error about a call at the path
/// of the function that is called.
pub(crate) fn respan(path: &TokenStream, span: Span) -> TokenStream {
    let span = span.resolved_at(Span::mixed_site());
    path.clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}
