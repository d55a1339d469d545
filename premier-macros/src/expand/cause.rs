//! The error of premier's in the error of the user's function.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

/// Returns an expression of the type `Option<&premier::Error>` for an `error` of the type `&E`.
pub(crate) fn cause_of(crate_path: &TokenStream, error: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    // Method lookup tries the traits in the order of the references, and chooses the first that the
    // type of the error implements.
    quote_spanned! {span=>
        {
            #[allow(unused_imports)]
            use #crate_path::__private::{
                CauseInBox as _, CauseInError as _, CauseInLocalBox as _, CauseInSendBox as _,
                CauseItself as _, NoCause as _,
            };
            (&&&&&&#crate_path::__private::Cause(#error)).premier_cause()
        }
    }
}
