//! The static of an attribute, which holds its state between calls.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote_spanned};

use super::setters::Setters;

/// The tokens by which an expansion declares and configures its static.
pub(crate) struct CallSite {
    /// Items that declare `__PREMIER_SITE`. They belong at the start of the block that uses it.
    pub(crate) items: TokenStream,
    /// A closure that makes the spec. The runtime calls it at the first call of the function.
    pub(crate) spec: TokenStream,
}

impl CallSite {
    /// Names the types `FooSite` and `FooSpec` of the runtime, where `Foo` is `types`.
    pub(crate) fn new(crate_path: &TokenStream, types: &str, setters: &Setters) -> Self {
        let span = Span::mixed_site();
        let site = format_ident!("{types}Site", span = span);
        let spec = format_ident!("{types}Spec", span = span);
        // The name of an item in the body includes the type of a method, which `module_path!`
        // does not.
        let items = quote_spanned! {span=>
            static __PREMIER_SITE: #crate_path::__private::#site = #crate_path::__private::#site::new();
            #[allow(clippy::missing_const_for_fn)]
            fn __premier_here() {}
        };
        let call_site = quote_spanned! {span=>
            #crate_path::__private::CallSite::new(::core::module_path!(), __premier_here)
        };
        let spec = quote_spanned! {span=>
            || #crate_path::__private::#spec::new(#call_site) #setters
        };
        Self { items, spec }
    }
}
