//! The static of an attribute, which holds its state between calls.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::setters::Setters;
use super::values::{BOUNDS, import_bounds};
use crate::parse::function::Function;
use crate::parse::words::contains_word;

/// The tokens by which an expansion declares and configures its static.
pub(crate) struct CallSite {
    /// Items that declare `__PREMIER_SITE`. They belong at the start of the block that uses it.
    pub(crate) items: TokenStream,
    /// The instance of the function with a closure that makes the spec, which the runtime calls at its
    /// first call.
    pub(crate) instance: TokenStream,
}

/// Which instances of a generic function share their policy.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// None: their outputs may differ.
    None,
    /// Those that differ in nothing but generic arguments of the function itself. Instances of the type
    /// or the trait do not share.
    OwnGenerics,
}

impl CallSite {
    /// Names the types `FooSite` and `FooSpec` of the runtime, where `Foo` is `types`.
    pub(crate) fn new(
        crate_path: &TokenStream,
        types: &str,
        setters: &Setters,
        function: &Function,
        sharing: Sharing,
    ) -> Self {
        let span = Span::mixed_site();
        let site = format_ident!("{types}Site", span = span);
        let spec = format_ident!("{types}Spec", span = span);
        // The name of an item in the body includes the type of a method, which `module_path!`
        // does not.
        // Only where it is used: a wrong `crate = …` would be two errors.
        let import_bounds =
            contains_word(quote!(#setters), BOUNDS).then(|| import_bounds(crate_path));
        let items = quote_spanned! {span=>
            #import_bounds
            static __PREMIER_SITE: #crate_path::__private::#site = #crate_path::__private::#site::new();
            #[allow(clippy::missing_const_for_fn)]
            fn __premier_here() {}
        };
        let shares = sharing == Sharing::OwnGenerics && function.has_own_generics();
        let has_self_type = function.has_self_type(quote!(#setters));
        // A closure is a type of its own in each instance.
        let (named, closure) = match (shares, has_self_type) {
            (false, _) => ("new", quote_spanned!(span=> || {})),
            (true, true) => ("sharing", quote_spanned!(span=> || {})),
            (true, false) => ("new", quote_spanned!(span=> __premier_here)),
        };
        let named = Ident::new(named, span);
        let spec = quote_spanned! {span=>
            || #crate_path::__private::#spec::new(#crate_path::__private::CallSite::#named(
                ::core::module_path!(),
                __premier_here,
                #closure,
            )) #setters
        };
        let instance = match (shares, has_self_type) {
            (false, _) => quote_spanned!(span=> of(|| {}, #spec)),
            (true, true) => quote_spanned!(span=> of_type::<Self>(#spec)),
            (true, false) => quote_spanned!(span=> of(__premier_here, #spec)),
        };
        let instance = quote_spanned!(span=> #crate_path::__private::Instance::#instance);
        Self { items, instance }
    }
}
