//! `#[retry]`: what it expands to. Its arguments and their rules are in `arguments`.

mod arguments;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Result};

use crate::crate_path;
use crate::error_filter::ErrorFilter;
use crate::expand::Expansion;
use crate::key;

/// The arguments of one `#[retry]`, validated.
pub(crate) struct Retry {
    /// Calls on the `RetrySpec`, in order.
    spec: TokenStream,
    /// Whether all values are known to be good.
    checked: bool,
    /// Whether the time of the first attempt matters.
    is_timed: bool,
    filter: ErrorFilter,
    on_retry: Option<Expr>,
    pub(crate) krate: TokenStream,
}

impl Retry {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        arguments::parse(tokens)
    }

    pub(crate) fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        expansion.needs_result("retry", "it looks at the error")
    }

    /// A loop around what is enclosed.
    pub(crate) fn wrap(
        &self,
        expansion: &Expansion<'_>,
        nth: usize,
        inner: &TokenStream,
    ) -> TokenStream {
        let krate = &self.krate;
        let span = Span::mixed_site();
        let begun = self.begun(expansion);
        let attempt = expansion.attempt(inner, nth);
        let ascription = expansion.ascription();
        let error = quote_spanned!(span=> __premier_error);
        let counts = self.filter.matches(&error);
        let awaited = expansion.awaited();
        let sleep = Ident::new(
            if awaited.is_some() {
                "sleep_async"
            } else {
                "sleep"
            },
            span,
        );
        let event = quote_spanned!(span=> &__premier_event);
        let told = self.on_retry.as_ref().map(|on_retry| {
            let told = key::call(on_retry, &event);
            quote_spanned! {span=>
                if let ::core::option::Option::Some(__premier_delay) = __premier_delay {
                    let __premier_event = __premier_attempts.event(__premier_delay, __premier_error);
                    #told;
                }
            }
        });
        quote_spanned! {span=>
            #begun
            loop {
                let __premier_delay = {
                    let __premier_outcome #ascription = #attempt;
                    let __premier_delay = match &__premier_outcome {
                        ::core::result::Result::Err(__premier_error) if #counts => {
                            let __premier_hint = {
                                #[allow(unused_imports)]
                                use #krate::__private::{
                                    HintInBox as _, HintInError as _, HintInLocalBox as _, HintInSendBox as _,
                                    HintItself as _, HintNowhere as _,
                                };
                                (&&&&&&#krate::__private::Hint(__premier_error)).premier_retry_after()
                            };
                            let __premier_delay = __premier_attempts.next(__premier_hint);
                            #told
                            __premier_delay
                        }
                        _ => ::core::option::Option::None,
                    };
                    match __premier_delay {
                        ::core::option::Option::Some(__premier_delay) => __premier_delay,
                        ::core::option::Option::None => break __premier_outcome,
                    }
                };
                __premier_attempts.#sleep(__premier_delay) #awaited;
            }
        }
    }

    /// The statement that begins to count.
    fn begun(&self, expansion: &Expansion<'_>) -> TokenStream {
        let (krate, spec) = (&self.krate, &self.spec);
        let span = Span::mixed_site();
        let place = crate_path::place(krate);
        let site = crate_path::site(krate, "RetrySite");
        let spec = quote_spanned!(span=> || #krate::__private::RetrySpec::new(#place) #spec);
        if self.checked {
            let begin = match self.is_timed {
                true => "begin_timed",
                false => "begin_checked",
            };
            let begin = Ident::new(begin, span);
            return quote_spanned! {span=>
                let mut __premier_attempts = { #site __PREMIER_SITE.#begin(#spec) };
            };
        }
        // A value that is only known at the first call may be a bad one.
        let error = Ident::new("__premier_error", span);
        let refusal = expansion.converted(&error, krate, "FromBadValue", "from_bad_value");
        quote_spanned! {span=>
            let __premier_attempts = { #site __PREMIER_SITE.begin(#spec) };
            let mut __premier_attempts = match __premier_attempts {
                ::core::result::Result::Ok(__premier_attempts) => __premier_attempts,
                ::core::result::Result::Err(#error) => return #refusal,
            };
        }
    }
}
