//! What a function returns when an attribute rejects a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use super::callback::call_typed;
use super::crate_path::respan;
use super::expansion::Expansion;
use crate::parse::types::is_nameable;

impl Expansion<'_> {
    /// Returns the output for the `premier::Error` in the variable `error`: the value of
    /// `on_reject`, or the error converted to the error type of the user.
    ///
    /// An invalid argument is never hidden by `on_reject`: it is the error of the call or, where the
    /// function cannot return one, a panic. `index` is the position of the layer that rejects.
    pub(crate) fn rejection(
        &self,
        error: &Ident,
        on_reject: Option<&Expr>,
        index: usize,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let crate_path = self.layers[index].crate_path();
        let ending = self.ending_for_above(index);
        let Some(on_reject) = on_reject else {
            let output = self.converted(error, crate_path, "ErrorOfRejection", "from_rejection");
            let note = ending.map(|ending| quote_spanned!(span=> #ending.rejected(&#error);));
            return quote_spanned!(span=> { #note #output });
        };
        let value = call_typed(on_reject, error, &quote_spanned!(span=> #crate_path::Error));
        let value = if self.wrapped.is_some() {
            quote_spanned!(span=> ::core::result::Result::Ok(#value))
        } else {
            value
        };
        let bad_argument = self.bad_argument(error, crate_path);
        let note_bad_argument = ending
            .as_ref()
            .map(|ending| quote_spanned!(span=> #ending.rejected(&#error);));
        let note = ending.map(|ending| quote_spanned!(span=> #ending.substituted();));
        quote_spanned! {span=>
            if let #crate_path::Error::Config { .. } = #error {
                #note_bad_argument
                #bad_argument
            } else {
                #note
                #value
            }
        }
    }

    /// Returns the output for an invalid argument where `on_reject` makes a conversion of errors
    /// unnecessary.
    pub(crate) fn bad_argument(&self, error: &Ident, crate_path: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        if self.wrapped.is_some() {
            return quote_spanned!(span=> ::core::result::Result::Err(#error));
        }
        let output = self.output();
        if !is_nameable(output) {
            return quote_spanned!(span=> #crate_path::__private::panic_with(#error));
        }
        quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #crate_path::__private::{BadArgumentOfAny as _, BadArgumentOfResult as _};
                (&#crate_path::__private::OutputType::<#output>::new()).premier_output(#error)
            }
        }
    }

    /// Returns the output for an invalid value that is only known at the first call. The value is
    /// in the variable `error`, as a `premier::Error`.
    pub(crate) fn bad_value(&self, error: &Ident, crate_path: &TokenStream) -> TokenStream {
        self.converted(error, crate_path, "ErrorOfBadValue", "from_bad_value")
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
        // The compiler reports a missing conversion at the error type of the user, and an output that is
        // not a `Result` at the output.
        let at_error = self.function.error_span().resolved_at(span);
        let error_path = respan(crate_path, at_error);
        let (conversion, method) = (
            Ident::new(conversion, at_error),
            Ident::new(method, at_error),
        );
        let error = quote_spanned!(at_error=> #error_path::bounds::#conversion::#method(#error));
        let at_output = self.function.output.span().resolved_at(span);
        let output_path = respan(crate_path, at_output);
        let output = respan(&self.output_in_body().to_token_stream(), at_output);
        quote_spanned! {at_output=>
            <#output as #output_path::bounds::ResultOutput<_, _>>::from_error(#error)
        }
    }
}
