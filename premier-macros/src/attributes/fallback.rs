//! `#[fallback]` says what a function returns when it has failed.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Error, Expr, Result};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::callback::{call, call_typed};
use crate::expand::cause::cause_of;
use crate::expand::crate_path::{respan, take_crate_path};
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::positional::split_positional;
use crate::validate::callback::check_callback;

const KNOWN: &str = "name, crate";

struct Fallback {
    setters: Setters,
    /// A closure or a function of the error.
    value: Expr,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, _: &Function) -> Result<Box<dyn Layer>> {
    let (value, rest) = split_positional(invocation)?;
    let mut arguments = Arguments::parse(super::FALLBACK, KNOWN, rest)?;
    let mut setters = Setters::default();
    setters.take_text("name", &mut arguments);
    let crate_path = take_crate_path(&mut arguments);
    let Some(value) = value else {
        arguments.report_missing(
            "what to return, as in `#[fallback(|error| value)]` or `#[fallback(path)]`",
        );
        return Err(arguments.into_error());
    };
    arguments.errors.keep(check_callback(
        &value,
        "#[fallback]",
        "the error, as in `#[fallback(|error| value)]`",
    ));
    arguments.finish(Box::new(Fallback {
        setters,
        value,
        crate_path,
    }))
}

impl Layer for Fallback {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn handles_errors(&self) -> bool {
        true
    }

    /// The value of a fallback is a substitute.
    fn may_end_call(&self) -> bool {
        true
    }

    fn observes_ending(&self) -> bool {
        true
    }

    fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        let function = expansion.function;
        if expansion.is_wrapped() && !expansion.below().is_wrapped() {
            return Err(Error::new_spanned(
                &function.output,
                "nothing below #[fallback] can fail: put it above the attributes whose errors it is for, \
                 or give it the argument `result` if this type is a `Result`",
            ));
        }
        Ok(())
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let below = expansion.below();
        let (ascription, scope) = (below.ascription(), below.scope(inner, index));
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Fallback",
            &self.setters,
            expansion.function,
            Sharing::OwnGenerics,
        );
        let error = Ident::new("__premier_error", span);
        let note = expansion
            .ending_for_above(index)
            .map(|ending| quote_spanned!(span=> #ending.substituted();));
        let record = quote_spanned! {span=>
            { #items __PREMIER_SITE.record(#instance); }
            #note
        };
        let outcome = quote_spanned!(span=> let __premier_outcome #ascription = #scope;);
        if below.is_wrapped() {
            let ok = expansion.wrapped_value(&quote_spanned!(span=> __premier_value));
            let value = call_typed(
                &self.value,
                &error,
                &quote_spanned!(span=> #crate_path::Error),
            );
            let value = expansion.wrapped_value(&value);
            let bad_argument = expansion.bad_argument(&error, crate_path);
            return quote_spanned! {span=>
                #outcome
                match __premier_outcome {
                    ::core::result::Result::Ok(__premier_value) => #ok,
                    ::core::result::Result::Err(#error) => {
                        if let #crate_path::Error::Config { .. } = #error {
                            return #bad_argument;
                        }
                        #record
                        #value
                    }
                }
            };
        }
        // The compiler reports an output that is not a `Result` at its type.
        let output = expansion.function.output.span().resolved_at(span);
        let path = respan(crate_path, output);
        let cause = cause_of(crate_path, &quote_spanned!(span=> #error));
        // An invalid argument is not a failure of the function, so it is returned. The user's error may not show
        // that it was one.
        let is_bad_argument = expansion
            .ending_of_below(index)
            .map(|ending| quote_spanned!(span=> !#ending.is_bad_argument() &&));
        let is_failure = quote_spanned! {span=>
            |#error| #is_bad_argument !::core::matches!(
                #cause,
                ::core::option::Option::Some(#crate_path::Error::Config { .. })
            )
        };
        let found = quote_spanned! {output=>
            #path::bounds::ResultOutput::into_error_if(__premier_outcome, #is_failure)
        };
        let value = call(&self.value, &quote_spanned!(span=> #error));
        quote_spanned! {span=>
            #outcome
            match #found {
                ::core::result::Result::Ok(#error) => {
                    #record
                    #value
                }
                ::core::result::Result::Err(__premier_outcome) => __premier_outcome,
            }
        }
    }
}
