//! The code of throttles that decide together, and of calls that are settled.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use super::single::{DecisionTokens, Throttle};
use crate::expand::callback::call;
use crate::expand::expansion::Expansion;
use crate::expand::values::{import_bounds, units_of_callback};

/// Returns statements that leave the function unless all of `throttles` admit the call. The keys are
/// copied as text, because the borrows of one key cannot be kept until the last key is known. A call that will be
/// settled has its admissions in `__premier_entered`.
pub(super) fn enter_all(
    throttles: &[Throttle],
    is_settled: bool,
    expansion: &Expansion<'_>,
    index: usize,
) -> TokenStream {
    let span = Span::mixed_site();
    let crate_path = &throttles[0].crate_path;
    let part = Ident::new("part", span);
    let parts = throttles.iter().map(|throttle| {
        let DecisionTokens {
            items,
            statements,
            arguments,
        } = throttle.decision(expansion.function);
        quote_spanned! {span=>
            {
                #items
                #statements
                let __premier_part = __PREMIER_SITE.#part(#arguments);
                __premier_part
            }
        }
    });
    let error = Ident::new("__premier_error", span);
    let outputs = throttles
        .iter()
        .map(|throttle| expansion.rejection(&error, throttle.on_reject.as_ref(), index));
    let outputs: Vec<TokenStream> = outputs.collect();
    let output = match &outputs[..] {
        // Each returns the error: the first does so for all.
        [first, ..]
            if throttles
                .iter()
                .all(|throttle| throttle.on_reject.is_none()) =>
        {
            first.clone()
        }
        [first @ .., last] => {
            let numbers = 0..first.len();
            quote_spanned! {span=>
                match __premier_number {
                    #(#numbers => #first,)*
                    _ => #last,
                }
            }
        }
        [] => TokenStream::new(),
    };
    let awaited = expansion.awaited();
    if !is_settled {
        let enter_all = expansion.method("enter_all");
        return quote_spanned! {span=>
            let __premier_parts = [#(#parts),*];
            if let ::core::result::Result::Err((__premier_number, #error)) =
                #crate_path::__private::#enter_all(__premier_parts) #awaited
            {
                let _ = __premier_number;
                return #output;
            }
        };
    }
    let enter_all = expansion.method("enter_all_to_settle");
    quote_spanned! {span=>
        let __premier_parts = [#(#parts),*];
        let __premier_entered = match #crate_path::__private::#enter_all(__premier_parts) #awaited {
            ::core::result::Result::Ok(__premier_entered) => __premier_entered,
            ::core::result::Result::Err((__premier_number, #error)) => {
                let _ = __premier_number;
                return #output;
            }
        };
    }
}

/// Returns the code of a call that `throttles` admit, and that is settled by its output.
pub(super) fn settled(
    throttles: &[Throttle],
    expansion: &Expansion<'_>,
    index: usize,
    inner: &TokenStream,
) -> TokenStream {
    let span = Span::mixed_site();
    let enter = enter_all(throttles, true, expansion, index);
    let (ascription, scope) = (expansion.ascription(), expansion.scope(inner, index));
    let crate_path = &throttles[0].crate_path;
    let import_bounds = import_bounds(crate_path);
    let output = quote_spanned!(span=> __premier_output);
    let settle = throttles.iter().enumerate().map(|(number, throttle)| {
        let callee = throttle.settle.as_ref()?;
        let units = units_of_callback(&call(callee, &output), callee);
        Some(quote_spanned! {span=>
            __premier_entered[#number].settle(#crate_path::__private::cost(#units));
        })
    });
    let settle = settle.flatten();
    // The output of the function is not a `Result`. An error is of an attribute below, and there is nothing to settle.
    let settle = match expansion.is_wrapped() {
        true => quote_spanned! {span=>
            if let ::core::result::Result::Ok(#output) = &__premier_outcome {
                #(#settle)*
            }
        },
        false => quote_spanned! {span=>
            let #output = &__premier_outcome;
            #(#settle)*
        },
    };
    quote_spanned! {span=>
        #enter
        let __premier_outcome #ascription = #scope;
        {
            #import_bounds
            #settle
        }
        __premier_outcome
    }
}
