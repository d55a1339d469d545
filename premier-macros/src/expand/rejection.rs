//! What a function returns when an attribute rejects a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::Expr;

use super::callback::call_typed;
use super::crate_path::respan;
use super::expansion::Expansion;

impl Expansion<'_> {
    /// Returns the output for the `premier::Error` in the variable `error`: the value of
    /// `on_reject`, or the error converted to the error type of the user.
    pub(crate) fn rejection(
        &self,
        error: &Ident,
        on_reject: Option<&Expr>,
        crate_path: &TokenStream,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let Some(on_reject) = on_reject else {
            return self.converted(error, crate_path, "FromRejection", "from_rejection");
        };
        let value = call_typed(on_reject, error, &quote_spanned!(span=> #crate_path::Error));
        if self.wrapped.is_some() {
            quote_spanned!(span=> ::core::result::Result::Ok(#value))
        } else {
            value
        }
    }

    /// Returns the output for an invalid value that is only known at the first call. The value is
    /// in the variable `error`, as a `premier::Error`.
    pub(crate) fn bad_value(&self, error: &Ident, crate_path: &TokenStream) -> TokenStream {
        self.converted(error, crate_path, "FromBadValue", "from_bad_value")
    }

    /// Returns a statement that unwraps the `Result` in `value` into the variable `name`. For an
    /// error, which is in the variable `error`, the statement returns `output` from the function.
    pub(crate) fn let_ok_or_return(
        name: &TokenStream,
        value: &TokenStream,
        error: &Ident,
        output: &TokenStream,
    ) -> TokenStream {
        let span = Span::mixed_site();
        quote_spanned! {span=>
            let #name = match #value {
                ::core::result::Result::Ok(__premier_ok) => __premier_ok,
                ::core::result::Result::Err(#error) => return #output,
            };
        }
    }

    fn converted(
        &self,
        error: &Ident,
        crate_path: &TokenStream,
        conversion: &str,
        method: &str,
    ) -> TokenStream {
        let span = Span::mixed_site();
        if self.wrapped.is_some() {
            return quote_spanned!(span=> ::core::result::Result::Err(#error));
        }
        // The compiler reports a missing conversion at the error type of the user.
        let span = self.function.error_span().resolved_at(span);
        let crate_path = respan(crate_path, span);
        let (conversion, method) = (Ident::new(conversion, span), Ident::new(method, span));
        quote_spanned! {span=>
            ::core::result::Result::Err(#crate_path::__private::#conversion::#method(#error))
        }
    }
}
