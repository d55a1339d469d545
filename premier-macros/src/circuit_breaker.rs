//! `#[circuit_breaker]`: stops calling what keeps failing.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Result};

use crate::arguments::{Arguments, Errors, positive, positive_duration};
use crate::crate_path;
use crate::error_filter::ErrorFilter;
use crate::expand::Expansion;

const KNOWN: &str = "failures, within, open_for, half_open, on, when, name, on_reject, crate";

/// The arguments of one `#[circuit_breaker]`, validated.
pub(crate) struct CircuitBreaker {
    spec: TokenStream,
    filter: ErrorFilter,
    pub(crate) on_reject: Option<Expr>,
    pub(crate) krate: TokenStream,
}

impl CircuitBreaker {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut errors = Errors::default();
        let mut given = Arguments::parse("circuit_breaker", KNOWN, tokens, &mut errors)?;
        let mut spec = TokenStream::new();
        for name in ["failures", "half_open"] {
            if let Some((name, number)) = given.expr(name, &mut errors) {
                let number = positive(&name.to_string(), &number, &mut errors);
                spec.extend(quote!(.#name(#number)));
            }
        }
        for name in ["within", "open_for"] {
            if let Some((name, length)) = given.expr(name, &mut errors) {
                let code = positive_duration(&name.to_string(), &length, &mut errors);
                spec.extend(quote!(.#name(#code)));
            }
        }
        if let Some(name) = given.text("name", &mut errors) {
            spec.extend(quote!(.name(#name)));
        }
        let filter = ErrorFilter::take(&mut given, &mut errors);
        let breaker = Self {
            spec,
            filter,
            on_reject: given.on_reject(&mut errors),
            krate: given.krate(&mut errors),
        };
        errors.or(breaker)
    }

    pub(crate) fn validate(&self, expansion: &Expansion<'_>) -> Result<()> {
        expansion.needs_result("circuit_breaker", "it counts the errors")
    }

    pub(crate) fn wrap(
        &self,
        expansion: &Expansion<'_>,
        nth: usize,
        inner: &TokenStream,
    ) -> TokenStream {
        let (krate, spec) = (&self.krate, &self.spec);
        let span = Span::mixed_site();
        let place = crate_path::place(krate);
        let site = crate_path::site(krate, "BreakerSite");
        let error = Ident::new("__premier_error", span);
        let refusal = expansion.refusal(&error, self.on_reject.as_ref(), krate);
        let ascription = expansion.ascription();
        let scope = expansion.scope(inner, nth);
        let counts = self
            .filter
            .matches(&quote_spanned!(span=> __premier_failure));
        quote_spanned! {span=>
            let __premier_trial = {
                #site
                __PREMIER_SITE.enter(|| #krate::__private::BreakerSpec::new(#place) #spec)
            };
            let __premier_trial = match __premier_trial {
                ::core::result::Result::Ok(__premier_trial) => __premier_trial,
                ::core::result::Result::Err(#error) => return #refusal,
            };
            let __premier_outcome #ascription = #scope;
            let __premier_failed = match &__premier_outcome {
                ::core::result::Result::Ok(_) => false,
                ::core::result::Result::Err(__premier_failure) => #counts,
            };
            __premier_trial.done(__premier_failed);
            __premier_outcome
        }
    }
}
