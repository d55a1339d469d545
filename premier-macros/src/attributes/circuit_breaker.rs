//! `#[circuit_breaker]` rejects calls for a while when the function keeps failing.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Result};

use crate::expand::call_site::{CallSite, Sharing};
use crate::expand::cause::cause_of;
use crate::expand::crate_path::take_crate_path;
use crate::expand::error_filter::selects;
use crate::expand::expansion::{Expansion, Layer};
use crate::expand::key::KeyTokens;
use crate::expand::setters::Setters;
use crate::parse::arguments::Arguments;
use crate::parse::error_filter::ErrorFilter;
use crate::parse::function::Function;
use crate::parse::invocation::Invocation;
use crate::parse::key::{Key, KeyArgs};
use crate::validate::callback::take_on_reject;
use crate::validate::checked::Nanos;
use crate::validate::error_filter::take_error_filter;
use crate::validate::key::{check_independent, check_key};

const KNOWN: &str = "failure_rate, minimum_calls, failures, within, slow, slow_rate, open_for, open_for_max, half_open, on, when, key, keymaker, name, on_reject, crate";

struct CircuitBreaker {
    setters: Setters,
    key: Option<Key>,
    /// The errors that count as failures.
    filter: ErrorFilter,
    on_reject: Option<Expr>,
    crate_path: TokenStream,
}

pub(super) fn parse(invocation: Invocation, function: &Function) -> Result<Box<dyn Layer>> {
    let mut arguments = Arguments::parse("circuit_breaker", KNOWN, invocation)?;
    let mut setters = Setters::default();
    take_thresholds(&mut setters, &mut arguments);
    setters.take_positive("half_open", &mut arguments);
    for name in ["within", "slow"] {
        setters.take_positive_duration(name, &mut arguments);
    }
    take_open_times(&mut setters, &mut arguments);
    setters.take_text("name", &mut arguments);
    check_independent(&setters, function, &mut arguments.errors);
    let key = KeyArgs::take(&mut arguments);
    let key = check_key(key, function, &mut arguments.errors);
    if key.is_some() {
        setters.set("by_key", TokenStream::new());
    }
    let breaker = CircuitBreaker {
        setters,
        key,
        filter: take_error_filter(&mut arguments),
        on_reject: take_on_reject(&mut arguments),
        crate_path: take_crate_path(&mut arguments),
    };
    arguments.finish(Box::new(breaker))
}

/// Takes the arguments that say when the breaker opens.
fn take_thresholds(setters: &mut Setters, arguments: &mut Arguments) {
    let failures = arguments.span_of("failures");
    setters.take_positive("failures", arguments);
    let has_failure_rate = setters.take_share("failure_rate", arguments);
    let has_slow_rate = setters.take_share("slow_rate", arguments);
    let minimum_calls = arguments.span_of("minimum_calls");
    setters.take_positive("minimum_calls", arguments);
    let Some(failures) = failures else {
        return;
    };
    if has_failure_rate {
        arguments.errors.push_at(
            failures,
            "`failures` is a number of failures and `failure_rate` their share of the calls: give one of the two",
        );
    } else if let (Some(minimum_calls), false) = (minimum_calls, has_slow_rate) {
        arguments.errors.push_at(
            minimum_calls,
            "`minimum_calls` is for rates: `failures` does not depend on the number of calls",
        );
    }
}

/// The default of `open_for` in nanoseconds, which is the runtime's.
const OPEN_FOR: Nanos = Nanos(30_000_000_000);

fn take_open_times(setters: &mut Setters, arguments: &mut Arguments) {
    let default = arguments.span_of("open_for").is_none().then_some(OPEN_FOR);
    let open_for = setters.take_positive_duration("open_for", arguments);
    let max = arguments.span_of("open_for_max");
    let open_for_max = setters.take_positive_duration("open_for_max", arguments);
    if let (Some(Nanos(open_for)), Some(Nanos(open_for_max)), Some(max)) =
        (open_for.or(default), open_for_max, max)
        && open_for_max < open_for
    {
        arguments.errors.push_at(
            max,
            "open_for_max must be at least as long as open_for (30 s by default)",
        );
    }
}

impl Layer for CircuitBreaker {
    fn crate_path(&self) -> &TokenStream {
        &self.crate_path
    }

    fn can_reject(&self) -> bool {
        self.on_reject.is_none()
    }

    fn may_end_call(&self) -> bool {
        true
    }

    fn observes_ending(&self) -> bool {
        true
    }

    fn wrap(&self, expansion: &Expansion<'_>, index: usize, inner: &TokenStream) -> TokenStream {
        let crate_path = &self.crate_path;
        let span = Span::mixed_site();
        let CallSite { items, instance } = CallSite::new(
            crate_path,
            "Breaker",
            &self.setters,
            expansion.function,
            Sharing::OwnGenerics,
        );
        let error = Ident::new("__premier_error", span);
        let rejection = expansion.rejection(&error, self.on_reject.as_ref(), index);
        let guard = quote_spanned!(span=> __premier_guard);
        let KeyTokens { statements, value } =
            KeyTokens::of(self.key.as_ref(), expansion.function, crate_path);
        let ascription = expansion.ascription();
        let scope = expansion.scope(inner, index);
        let is_failure = selects(&self.filter, &quote_spanned!(span=> __premier_failure));
        let outcome = expansion.outcome_as_result(crate_path);
        let enter = expansion.method("enter");
        let uncounted = self.uncounted(expansion, index, &guard);
        quote_spanned! {span=>
            let mut #guard = #crate_path::__private::BreakerGuard::idle();
            let __premier_entered = {
                #items
                #statements
                let __premier_entered = __PREMIER_SITE.#enter(&mut #guard, #instance, #value);
                __premier_entered
            };
            if let ::core::result::Result::Err(#error) = __premier_entered {
                return #rejection;
            }
            let __premier_outcome #ascription = #scope;
            match #outcome {
                #(#uncounted)*
                ::core::result::Result::Ok(_) => #guard.finish(false),
                ::core::result::Result::Err(__premier_failure) => {
                    let __premier_is_failure: bool = #is_failure;
                    #guard.finish(__premier_is_failure);
                }
            }
            __premier_outcome
        }
    }
}

impl CircuitBreaker {
    /// Returns the arms of outcomes that do not count: substitutes, and refusals of premier's, unless
    /// the filter names them.
    fn uncounted(
        &self,
        expansion: &Expansion<'_>,
        index: usize,
        guard: &TokenStream,
    ) -> Vec<TokenStream> {
        let span = Span::mixed_site();
        let ending = expansion.ending_of_below(index);
        let mut arms = Vec::new();
        let ignore = quote_spanned!(span=> #guard.ignore());
        if let Some(ending) = &ending {
            arms.push(quote_spanned!(span=> _ if #ending.is_substitute() => #ignore,));
        }
        if self.filter.names_refusals() {
            return arms;
        }
        if let Some(ending) = ending {
            arms.push(quote_spanned!(span=> _ if #ending.is_refusal() => #ignore,));
        }
        let crate_path = &self.crate_path;
        let cause = cause_of(crate_path, &quote_spanned!(span=> __premier_failure));
        arms.push(quote_spanned! {span=>
            ::core::result::Result::Err(__premier_failure)
                if #crate_path::__private::is_refusal(#cause) => #ignore,
        });
        arms
    }
}
