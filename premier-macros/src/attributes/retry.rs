//! `#[retry]` calls a function again when it fails.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Result};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::callback::call;
use crate::expand::cause::cause_of;
use crate::expand::crate_path::take_crate_path;
use crate::expand::error_filter::selects;
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::setters::Setters;
use crate::expand::values::by_bound;
use crate::parse::arguments::Arguments;
use crate::parse::error_filter::ErrorFilter;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::literal::peel;
use crate::validate::backoff::{Strategy, check_factor, check_jitter, check_strategy};
use crate::validate::callback::take_callback;
use crate::validate::checked::Checked;
use crate::validate::error_filter::take_error_filter;
use crate::validate::key::check_independent;
use crate::validate::values::{attempts, duration};

const KNOWN: &str =
    "strategy, max, base, factor, max_delay, max_elapsed, jitter, on, when, on_retry, name, crate";

struct Retry {
    setters: Setters,
    /// Whether all values are known at compile time, so that the spec cannot be invalid.
    is_checked: bool,
    /// Whether the spec limits the time since the first attempt.
    is_timed: bool,
    /// The errors to retry.
    filter: ErrorFilter,
    on_retry: Option<Expr>,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, function: &Function) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("retry", KNOWN, invocation)?;
    let crate_path = take_crate_path(&mut arguments);
    let (mut is_checked, mut is_timed) = (true, false);
    let mut setters = Setters::default();
    if let Some((name, max)) = arguments.expr("max") {
        let max = attempts(&max, &mut arguments.errors);
        is_checked &= !is_runtime(max.as_ref());
        setters.set_at(&name, max);
    }
    if let Some((name, factor)) = arguments.expr("factor") {
        let factor = check_factor(&factor, &mut arguments.errors);
        is_checked &= !is_runtime(factor.as_ref());
        setters.set_at(&name, factor);
    }
    for name in ["base", "max_delay", "max_elapsed"] {
        if let Some((name, length)) = arguments.expr(name) {
            let length = duration(&length, &mut arguments.errors);
            is_checked &= !is_runtime(length.as_ref());
            is_timed |= name == "max_elapsed";
            setters.set_at(&name, length);
        }
    }
    if let Some((name, jitter)) = arguments.expr("jitter") {
        let jitter = check_jitter(&jitter, &mut arguments.errors);
        is_checked &= !is_runtime(jitter.as_ref());
        setters.set_at(&name, jitter);
    }
    check_independent(&setters, function, &mut arguments.errors);
    // After the check: a function of its own may have parameters of the same names.
    if let Some((_, expr)) = arguments.expr("strategy")
        && let Some(strategy) = check_strategy(&expr, &mut arguments.errors)
    {
        is_checked &= strategy.is_checked();
        set_strategy(&strategy, &crate_path, &mut setters);
    }
    setters.take_text("name", &mut arguments);
    let filter = take_error_filter(&mut arguments);
    let on_retry = take_callback(
        &mut arguments,
        "on_retry",
        "a reference to the premier::RetryEvent, as in `on_retry = |event| …`",
    );
    arguments.finish(Box::new(Retry {
        setters,
        is_checked,
        is_timed,
        filter,
        on_retry,
        crate_path,
    }))
}

const fn is_runtime<T>(value: Option<&Checked<T>>) -> bool {
    matches!(value, Some(Checked::Runtime(_)))
}

fn set_strategy(strategy: &Strategy, crate_path: &TokenStream, setters: &mut Setters) {
    let span = Span::mixed_site();
    match strategy {
        Strategy::Variant(variant) => {
            let variant = Ident::new(variant, span);
            let variant = quote_spanned!(span=> #crate_path::__private::Strategy::#variant);
            setters.set("strategy", variant);
        }
        Strategy::Delays(delays) => {
            let delays = delays
                .iter()
                .map(|delay| quote_spanned!(span=> #crate_path::__private::period(#delay)));
            setters.set("delays", quote_spanned!(span=> [#(#delays),*]));
        }
        Strategy::Function(function) => set_delay_function(function, setters),
    }
}

/// An error about a function of another type is one about a call that the user can see, or about a trait
/// of the runtime's `bounds`.
fn set_delay_function(function: &Expr, setters: &mut Setters) {
    let span = Span::mixed_site();
    match peel(function) {
        Expr::Path(_) | Expr::Closure(_) => {
            let delay = call(function, &quote_spanned!(span=> __premier_index));
            setters.set(
                "function",
                quote_spanned!(span=> |__premier_index: u32| -> ::core::time::Duration { #delay }),
            );
        }
        // These may yield a closure, whose parameter has no type without the setter.
        Expr::Block(_) | Expr::If(_) | Expr::Match(_) => setters.set("function", function),
        _ => setters.set(
            "strategy",
            by_bound(function, "DelayFunction", "into_strategy"),
        ),
    }
}

impl Layer for Retry {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn re_runs_body(&self) -> bool {
        true
    }

    fn observes_ending(&self) -> bool {
        true
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let begin = self.begin(expansion);
        let attempt = expansion.attempt(inner, index);
        let ascription = expansion.ascription();
        let is_retried = selects(&self.filter, &quote_spanned!(span=> __premier_error));
        let delay = self.delay();
        let outcome = expansion.outcome_as_result(&self.crate_path);
        let awaited = expansion.awaited();
        let sleep = expansion.method("sleep");
        let ending = expansion.ending_of_below(index);
        let restart = ending
            .as_ref()
            .map(|ending| quote_spanned!(span=> #ending.restart();));
        let is_final = ending.map(|ending| {
            let open_circuit = (!self.filter.names_open_circuit())
                .then(|| quote_spanned!(span=> || #ending.is_open_circuit()));
            quote_spanned!(span=> _ if #ending.is_substitute() #open_circuit => ::core::option::Option::None,)
        });
        quote_spanned! {span=>
            #begin
            loop {
                #restart
                let __premier_delay = {
                    let __premier_outcome #ascription = #attempt;
                    let __premier_delay = match #outcome {
                        #is_final
                        ::core::result::Result::Err(__premier_error) if #is_retried => {
                            #delay
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
}

impl Retry {
    /// Returns code that yields the delay before the next attempt, after `__premier_error`.
    fn delay(&self) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let on_retry = self.on_retry.as_ref().map(|on_retry| {
            let call = call(on_retry, &quote_spanned!(span=> &__premier_event));
            quote_spanned! {span=>
                if let ::core::option::Option::Some(__premier_delay) = __premier_delay {
                    let __premier_event = __premier_attempts.event(__premier_delay, __premier_error);
                    #call;
                }
            }
        });
        let cause = cause_of(crate_path, &quote_spanned!(span=> __premier_error));
        let retries_open_circuit = self.filter.names_open_circuit();
        // By its path, because a user's trait may have a method of that name for every type.
        quote_spanned! {span=>
            let __premier_delay = #crate_path::__private::Attempts::next_delay(
                &mut __premier_attempts,
                #cause,
                #retries_open_circuit,
            );
            #on_retry
            __premier_delay
        }
    }

    /// Returns the statements that declare `__premier_attempts`.
    fn begin(&self, expansion: &Expansion<'_>) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Retry",
            &self.setters,
            expansion.function,
            Sharing::OwnGenerics,
        );
        if self.is_checked {
            let begin = if self.is_timed {
                "begin_timed"
            } else {
                "begin_checked"
            };
            let begin = Ident::new(begin, span);
            return quote_spanned! {span=>
                let mut __premier_attempts = { #items __PREMIER_SITE.#begin(#instance) };
            };
        }
        let error = Ident::new("__premier_error", span);
        let unwrap_attempts = Expansion::let_ok_or_return(
            &quote_spanned!(span=> mut __premier_attempts),
            &quote_spanned!(span=> __premier_attempts),
            &error,
            &expansion.bad_value(&error, crate_path),
        );
        quote_spanned! {span=>
            let __premier_attempts = { #items __PREMIER_SITE.begin(#instance) };
            #unwrap_attempts
        }
    }
}
